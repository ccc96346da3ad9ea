"""Many shards as tasks: never more in flight than there is room for, parted over flow runs.

A shard that fails does not stop the others; each is named in the end. Thousands of them are parted
over flow runs, so that each run can be looked at and is recorded whole.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from threading import Semaphore
from typing import Any, Final, TypeVar

from prefect import Task, flow
from prefect.futures import PrefectFuture

from configs.schema import Runtime
from flows.dispatch.artifacts import show_failures
from flows.dispatch.back_pressure import recorded
from flows.dispatch.progress import Bar
from flows.dispatch.ray import is_spread, placed, task_runner
from storage.errors import DistilleryError
from storage.shard import ShardKey
from tasks.run import ShardFailed

R = TypeVar("R")

NUM_TOLD: Final = 5
"""Failures that a message names; all of them stand in the tables and in `distillery status`."""


class ShardsFailed(DistilleryError):
    """Some shards of a stage have no receipt; the others are done."""

    def __init__(self, failures: Sequence[ShardFailed]) -> None:
        more = len(failures) - NUM_TOLD
        told = [*map(str, failures[:NUM_TOLD]), *([f"and {more} more"] if more > 0 else [])]
        super().__init__("; ".join(told))
        self.failures = tuple(failures)


def gather(
    task: Task[..., R],
    stage: str,
    work: Mapping[ShardKey, Mapping[str, Any]],
    in_flight: int,
    bar: Bar,
) -> dict[ShardKey, R]:
    """Run a task for each key with its arguments; raises `ShardsFailed` after all have ended."""
    slots = Semaphore(in_flight)
    futures: dict[ShardKey, PrefectFuture[R]] = {}

    def ended(future: PrefectFuture[R]) -> None:
        slots.release()
        bar.advance(0 if _error_of(future) else 1)

    for key, arguments in work.items():
        slots.acquire()
        futures[key] = task.submit(**arguments)
        futures[key].add_done_callback(ended)
    results: dict[ShardKey, R] = {}
    failures: list[ShardFailed] = []
    for key, future in futures.items():
        if (error := _error_of(future)) is None:
            results[key] = future.result()
        elif isinstance(error, ShardFailed):
            failures.append(error)
        else:
            failures.append(ShardFailed(stage, key, f"{type(error).__name__}: {error}"))
    if failures:
        show_failures(failures)
        raise ShardsFailed(failures)
    return results


def _error_of(future: PrefectFuture[Any]) -> BaseException | None:
    result = future.result(raise_on_failure=False)
    return result if isinstance(result, BaseException) else None


def gather_in_parts(
    task: Task[..., R],
    stage: str,
    work: Mapping[ShardKey, Mapping[str, Any]],
    runtime: Runtime,
    bar: Bar,
    sum_up: Callable[[], None],
) -> int:
    """`gather`, in a flow run of its own for each thousand of them where there are more.

    So it is for any number that is spread over a cluster, for a flow run has one task runner.
    Returns how many there were. `sum_up` is called at the end, and before it after the first part,
    the second, the fourth and so on: it may cost as much as there is by then.
    """

    def make(part: Mapping[ShardKey, Mapping[str, Any]]) -> None:
        with recorded(len(part)), placed(runtime, stage) as in_flight:
            gather(task, stage, part, in_flight, bar)

    num_most = runtime.tasks_per_flow_run
    if not work:
        return 0
    if len(work) <= num_most and not is_spread(runtime, stage):
        try:
            make(work)
        finally:
            sum_up()
        return len(work)
    failures: list[ShardFailed] = []
    keys = list(work)
    for number, start in enumerate(range(0, len(keys), num_most), start=1):
        part = {key: work[key] for key in keys[start : start + num_most]}
        name = f"{stage} {keys[start]} to {list(part)[-1].index:05d}"
        try:
            flow_of_part = flow(
                name=f"{stage}-part",
                flow_run_name=name,
                task_runner=task_runner(runtime, stage),
            )(_part)
            with _given(partial(make, part)):
                flow_of_part()
        except ShardsFailed as failed:
            failures += failed.failures
        if number.bit_count() == 1:
            sum_up()
    sum_up()
    if failures:
        raise ShardsFailed(failures)
    return len(work)


_GIVEN: Final[ContextVar[Callable[[], None]]] = ContextVar("given")
"""What a part does: a cluster is sent the flow of each task, and this could not be sent along."""


def _part() -> None:
    _GIVEN.get()()


@contextmanager
def _given(work: Callable[[], None]) -> Iterator[None]:
    token = _GIVEN.set(work)
    try:
        yield
    finally:
        _GIVEN.reset(token)
