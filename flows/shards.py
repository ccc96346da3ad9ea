"""One flow a stage and corpus: a task for each pending shard, never more in flight than workers.

A shard that fails does not stop the others; the flow then ends as failed and names each of them.
Thousands of shards are parted over flow runs, so that each can be looked at and is recorded whole.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from threading import Semaphore
from typing import Annotated, Any, Final, TypeVar

from prefect import Flow, Task, flow
from prefect.futures import PrefectFuture
from pydantic import Field

from configs.schema import Runtime
from flows.artifacts import show_failures, shown_bar
from flows.chain import Chain, Link
from flows.credentials import load_run
from flows.progress import Bar
from flows.recorded import recorded
from flows.rerun import RerunStage, find_again
from flows.spread import is_spread, placed, task_runner
from storage.errors import DistilleryError
from storage.receipt import Receipt
from storage.receipts import summarise_all
from storage.shard import ShardKey
from tasks.download.parts import Part, download_place
from tasks.run import (
    ShardFailed,
    download_task,
    plan_task,
    shard_task,
    with_policy,
)
from tasks.stages import Stage

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


@flow(name="download", flow_run_name="download {corpus}")
def download(config: str, corpus: str) -> int:
    """Bring the files that the chosen splits need; returns how many were pending."""
    settings = load_run(config)
    brought: set[ShardKey] = set()
    chain = Chain.open(settings, corpus)
    while (pending := chain.downloads.missing()).keys() - brought:
        brought |= _bring(chain, pending)
        chain = Chain.open(settings, corpus)  # a listing that has come shows further files
    return len(brought)


def _bring(chain: Chain, pending: Mapping[ShardKey, Part]) -> set[ShardKey]:
    bar = shown_bar(f"download {chain.corpus.name}", len(pending), "files")
    work = {
        key: {
            "config": chain.config,
            "part": part,
            "place": download_place(chain.corpus, key),
            "on_bytes": lambda num_bytes, name=part.name: bar.say(
                f"{name} {num_bytes / 1e6:,.0f} MB"
            ),
        }
        for key, part in pending.items()
    }
    _make(chain, download_task, "download", work, bar)
    return set(work)


@flow(name="plan", flow_run_name="plan {corpus}")
def plan(config: str, corpus: str) -> int:
    """Group the segments of each split into shards; returns how many splits had new files."""
    chain = Chain.open(load_run(config), corpus)
    pending = chain.unplanned_splits()
    bar = shown_bar(f"plan {corpus}", len(pending), "splits")
    work = {
        key: {"config": chain.config, "place": chain.place("plan", key), "archives": archives}
        for key, archives in pending.items()
    }
    runtime = chain.config.runtime
    return len(gather(with_policy(plan_task, runtime), "plan", work, runtime.workers, bar))


def _shard_flow(stage: Stage) -> Flow[[str, str], int]:
    @flow(name=stage, flow_run_name=f"{stage} {{corpus}}")
    def run(config: str, corpus: str) -> int:
        """Make the pending shards of this stage; returns how many there were."""
        chain = Chain.open(load_run(config), corpus)
        pending = chain.pending(stage)
        if stage == "filter":
            refuse_without_index(chain, pending)
        bar = shown_bar(f"{stage} {corpus}", len(pending), "shards")
        work = {
            link.key: {"config": chain.config, "job": chain.job(link, stage)} for link in pending
        }
        return _make(chain, shard_task, stage, work, bar)

    return run


def _make(
    chain: Chain,
    task: Task[..., Receipt],
    stage: str,
    work: Mapping[ShardKey, Mapping[str, Any]],
    bar: Bar,
) -> int:
    """Make shards of one stage of a corpus, and sum up their receipts; returns how many."""
    runtime = chain.config.runtime
    places = [
        download_place(chain.corpus, key) if stage == "download" else chain.place(stage, key)
        for key in work
    ]
    folders = {place.folder for place in places}

    return gather_in_parts(
        with_policy(task, runtime),
        stage,
        work,
        runtime,
        bar,
        partial(summarise_all, chain.store, folders),
    )


def refuse_without_index(chain: Chain, pending: Sequence[Link]) -> None:
    """Raise `ShardsFailed` for all `pending` where half an index would decide what is learnt."""
    if pending and chain.index_digest is not None and (missing := chain.evaluation.missing):
        reason = (
            f"contamination asks for all speech to measure on, of which {len(missing)} shards are"
            f" missing: {', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}"
        )
        raise ShardsFailed([ShardFailed("filter", link.key, reason) for link in pending])


normalise: Final = _shard_flow("normalise")
label: Final = _shard_flow("label")
score: Final = _shard_flow("score")
index: Final = _shard_flow("index")
filter_windows: Final = _shard_flow("filter")


@flow(name="rerun-shard", flow_run_name="rerun {stage} {corpus}/{split}/{shard:05d}")
def rerun(
    config: str,
    stage: RerunStage,
    corpus: str,
    split: Annotated[str, Field(description="of a download: archives")],
    shard: Annotated[int, Field(ge=0, description="its number: 7 for corpus/split/00007")],
) -> None:
    """Make one shard again, whether or not it is done.

    A shard is named as it is everywhere: `librispeech/train-clean-100/00007` is the corpus
    `librispeech`, the split `train-clean-100` and the shard 7; the split of a download is
    `archives`. What depends on it is redone by the next run if and only if its digest changed.
    """
    settings = load_run(config)
    chain, again = find_again(settings, stage, ShardKey(corpus, split, shard))
    for path in again.stale:
        chain.store.delete(path)
    task: Task[..., Receipt] = download_task if again.job is None else shard_task
    arguments: dict[str, Any] = {"config": settings}
    if again.job is None:
        arguments |= {"part": again.part, "place": again.place}
    else:
        arguments |= {"job": again.job}
    bar = shown_bar(f"{stage} {again.key}", 1, "shards")
    gather(with_policy(task, settings.runtime), stage, {again.key: arguments}, 1, bar)
