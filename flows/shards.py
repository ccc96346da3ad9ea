"""One flow a stage and corpus: a task for each pending shard, never more in flight than workers.

A shard that fails does not stop the others; the flow then ends as failed and names each of them.
"""

from collections.abc import Mapping, Sequence
from threading import Semaphore
from typing import Any, Final, TypeVar

from prefect import Flow, Task, flow
from prefect.futures import PrefectFuture

from configs.load import load_config
from flows.chain import Chain, Link
from flows.progress import Bar, progress
from flows.rerun import find_again
from storage.errors import DistilleryError
from storage.receipt import Receipt
from storage.receipts import summarise
from storage.shard import ShardKey
from tasks.download.parts import Part, download_place
from tasks.run import (
    ShardFailed,
    download_task,
    num_in_flight,
    plan_task,
    shard_task,
    with_policy,
)

R = TypeVar("R")


class ShardsFailed(DistilleryError):
    """Some shards of a stage have no receipt; the others are done."""

    def __init__(self, failures: Sequence[ShardFailed]) -> None:
        super().__init__("; ".join(map(str, failures)))
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

    def ended(_: PrefectFuture[R]) -> None:
        slots.release()
        bar.advance()

    for key, arguments in work.items():
        slots.acquire()
        futures[key] = task.submit(**arguments)
        futures[key].add_done_callback(ended)
    results: dict[ShardKey, R] = {}
    failures: list[ShardFailed] = []
    for key, future in futures.items():
        result = future.result(raise_on_failure=False)
        if isinstance(result, ShardFailed):
            failures.append(result)
        elif isinstance(result, BaseException):
            failures.append(ShardFailed(stage, key, f"{type(result).__name__}: {result}"))
        else:
            results[key] = result
    if failures:
        raise ShardsFailed(failures)
    return results


@flow(name="download", flow_run_name="download {corpus}")
def download(config: str, corpus: str) -> int:
    """Bring the files that the chosen splits need; returns how many were pending."""
    settings = load_config(config)
    brought: set[ShardKey] = set()
    chain = Chain.open(settings, corpus)
    while (pending := chain.downloads.missing()).keys() - brought:
        brought |= _bring(chain, pending)
        chain = Chain.open(settings, corpus)  # a listing that has come shows further files
    return len(brought)


def _bring(chain: Chain, pending: Mapping[ShardKey, Part]) -> set[ShardKey]:
    bar = progress().bar(f"download {chain.corpus.name}", len(pending), "files")
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
    runtime = chain.config.runtime
    try:
        policed = with_policy(download_task, runtime)
        return set(gather(policed, "download", work, runtime.workers, bar))
    finally:
        for folder in {download_place(chain.corpus, key).folder for key in work}:
            summarise(chain.store, folder)


@flow(name="plan", flow_run_name="plan {corpus}")
def plan(config: str, corpus: str) -> int:
    """Group the segments of each split into shards; returns how many splits had new files."""
    chain = Chain.open(load_config(config), corpus)
    pending = chain.unplanned_splits()
    bar = progress().bar(f"plan {corpus}", len(pending), "splits")
    work = {
        key: {"config": chain.config, "place": chain.place("plan", key), "archives": archives}
        for key, archives in pending.items()
    }
    runtime = chain.config.runtime
    return len(gather(with_policy(plan_task, runtime), "plan", work, runtime.workers, bar))


def _shard_flow(stage: str) -> Flow[[str, str], int]:
    @flow(name=stage, flow_run_name=f"{stage} {{corpus}}")
    def run(config: str, corpus: str) -> int:
        """Make the pending shards of this stage; returns how many there were."""
        chain = Chain.open(load_config(config), corpus)
        pending = [link for link in chain.links() if link.next_stage == stage]
        if stage == "filter":
            refuse_without_index(chain, pending)
        bar = progress().bar(f"{stage} {corpus}", len(pending), "shards")
        runtime = chain.config.runtime
        work = {
            link.key: {"config": chain.config, "job": chain.job(link, stage)} for link in pending
        }
        policed = with_policy(shard_task, runtime)
        try:
            made = gather(policed, stage, work, num_in_flight(runtime, stage), bar)
        finally:
            for folder in {chain.place(stage, key).folder for key in work}:
                summarise(chain.store, folder)
        return len(made)

    return run


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


@flow(name="rerun-shard", flow_run_name="rerun {stage} {shard}")
def rerun(config: str, stage: str, shard: str) -> None:
    """Make one shard again, whether or not it is done: `label librispeech/train-clean-100/00007`.

    What depends on it is redone by the next run if and only if its digest changed. Raises what
    `flows.rerun.find_again` raises, and `ShardsFailed` when the shard fails.
    """
    settings = load_config(config)
    chain, again = find_again(settings, stage, shard)
    for path in again.stale:
        chain.store.delete(path)
    task: Task[..., Receipt] = download_task if again.job is None else shard_task
    arguments: dict[str, Any] = {"config": settings}
    if again.job is None:
        arguments |= {"part": again.part, "place": again.place}
    else:
        arguments |= {"job": again.job}
    bar = progress().bar(f"{stage} {again.key}", 1, "shards")
    gather(with_policy(task, settings.runtime), stage, {again.key: arguments}, 1, bar)
