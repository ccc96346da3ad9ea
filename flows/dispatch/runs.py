"""In which flow runs the units of a source are made, and what each of them shows in the UI."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from prefect import Task, flow

from configs.schema import RunConfig
from flows.dispatch.advance import Source, advance
from flows.dispatch.artifacts import ArtifactBar, show_failures
from flows.dispatch.lane import Ended, Lane, ShardsFailed, TaskLane
from flows.dispatch.progress import StageBars, noun
from flows.dispatch.ray import cluster, cluster_options, is_spread, task_runner
from flows.dispatch.work_pools import GPU_POOL, DeploymentLane, pool_of
from flows.state.frontier import Unit
from storage.receipt import Receipt
from storage.store import Store
from tasks.run import ShardFailed, download_task, plan_task, shard_task, with_policy

_BODY: Final[ContextVar[Callable[[], None]]] = ContextVar("body")
"""What a flow run of a lane does. A Ray cluster is sent the flow of each task, but not this."""


def feed(config: str, corpus: str) -> None:
    """Make the units of one stage and corpus as they become ready."""
    _BODY.get()()


@contextmanager
def _body(body: Callable[[], None]) -> Iterator[None]:
    token = _BODY.set(body)
    try:
        yield
    finally:
        _BODY.reset(token)


@dataclass(kw_only=True)
class Runs:
    """Makes the units of a source as tasks of Prefect flow runs.

    With `is_pipeline` each stage and corpus has flow runs of its own; otherwise everything happens
    in the current flow run as long as it is at most `runtime.tasks_per_flow_run` units. With
    `deployment` the stages that want a GPU are made by the deployments of that name. `num_units`
    tells how many units of a corpus and stage there are so far. `task_of` replaces the tasks that
    make units, for measurements.
    """

    config: str
    settings: RunConfig
    source: Source
    num_units: Callable[[str, str], int]
    is_pipeline: bool = False
    deployment: str | None = None
    bars: StageBars = field(default_factory=StageBars)
    task_of: Callable[[Unit], tuple[Task[..., Any], Mapping[str, Any]]] | None = None

    def make(self, on_end: Callable[[Ended], None] = lambda ended: None) -> list[ShardFailed]:
        """Make all of them; returns those that failed."""
        with cluster(self.settings.runtime):
            return advance(
                self.source,
                self.settings.runtime,
                self._open_lane,
                self.bars,
                is_elsewhere=self._is_elsewhere,
                on_end=on_end,
            )

    def _is_elsewhere(self, stage: str) -> bool:
        return self.deployment is not None and pool_of(self.settings.runtime, stage) == GPU_POOL

    def _open_lane(self, stage: str, corpus: str, report: Callable[[Ended], None]) -> Lane:
        if self.deployment is not None and self._is_elsewhere(stage):
            return DeploymentLane(
                self.config, self.settings, self.deployment, stage, corpus, report
            )
        bar = _LaneBar(f"{stage} {corpus}", noun(stage), lambda: self.num_units(corpus, stage))

        def on_end(ended: Ended) -> None:
            bar.end(is_done=isinstance(ended.result, Receipt))
            report(ended)

        def open_run(work: Callable[[], None]) -> None:
            def body() -> None:
                bar.open()
                with cluster_options(self.settings.runtime, stage), _shown_failures(self.config):
                    work()

            self._in_flow_run(stage, corpus, body)

        runtime = self.settings.runtime
        store = Store(self.settings.root, runtime.scratch)
        task_of = self.task_of or self._task_of
        return TaskLane(store, open_run, task_of, on_end, runtime.tasks_per_flow_run)

    def _in_flow_run(self, stage: str, corpus: str, body: Callable[[], None]) -> None:
        runtime = self.settings.runtime
        is_small = self.num_units(corpus, stage) <= runtime.tasks_per_flow_run
        if is_small and not self.is_pipeline and not is_spread(runtime, stage):
            body()
            return
        one = flow(
            name=stage if self.is_pipeline else f"{stage}-part",
            flow_run_name=f"{stage} {corpus}",
            task_runner=task_runner(runtime, stage),
        )(feed)
        with _body(body):
            one(self.config, corpus)

    @cached_property
    def _tasks(self) -> Mapping[str, Task[..., Receipt]]:
        runtime = self.settings.runtime
        return {
            "download": with_policy(download_task, runtime),
            "plan": with_policy(plan_task, runtime),
            "shard": with_policy(shard_task, runtime),
        }

    def _task_of(self, unit: Unit) -> tuple[Task[..., Receipt], Mapping[str, Any]]:
        common = {"config": self.settings}
        if unit.job is not None:
            return self._tasks["shard"], {**common, "job": unit.job}
        if unit.part is None:
            return self._tasks["plan"], {**common, "place": unit.place, "archives": unit.files}
        name = unit.part.name

        def on_bytes(num_bytes: int) -> None:
            self.bars.say(unit.stage, f"{name} {num_bytes / 1e6:,.0f} MB")

        arguments = {"part": unit.part, "place": unit.place, "on_bytes": on_bytes}
        return self._tasks["download"], {**common, **arguments}


class _LaneBar:
    """The progress of one stage and corpus in the UI, from its first flow run on."""

    def __init__(self, title: str, unit: str, num_units: Callable[[], int]) -> None:
        self._title, self._unit, self._num_units = title, unit, num_units
        self._bar: ArtifactBar | None = None

    def open(self) -> None:
        """Show the bar in the current flow run."""
        if self._bar is None:
            self._bar = ArtifactBar(self._title, self._num_units(), self._unit)

    def end(self, *, is_done: bool) -> None:
        """Count a unit that has ended."""
        if self._bar is not None and is_done:
            self._bar.extend_to(self._num_units())
            self._bar.advance()


@contextmanager
def _shown_failures(config: str) -> Iterator[None]:
    """Show the shards that fail inside, each with the command that repairs it."""
    try:
        yield
    except ShardsFailed as failed:
        show_failures(failed.failures)
        raise ShardsFailed(failed.failures, config) from failed
