"""One flow a stage and corpus: a task for each pending shard, never more in flight than workers.

A shard that fails does not stop the others; the flow then ends as failed and names each of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from threading import Semaphore
from typing import Any, Final, TypeVar

from prefect import Flow, Task, flow
from prefect.futures import PrefectFuture

from configs.load import load_config
from configs.schema import RunConfig
from flows.chain import Chain, Link
from flows.progress import Bar, progress
from storage.errors import DistilleryError
from storage.receipt import Receipt
from storage.receipts import summarise
from storage.shard import ShardKey
from storage.store import Store
from tasks.download.raw import download_place, downloads, wanted_archives
from tasks.run import ShardFailed, download_task, plan_task, shard_task, with_policy
from tasks.work import Job

R = TypeVar("R")

_WHOLE_DEVICE: Final = frozenset({"label"})
"""Stages whose model takes all cores or the card, one shard at a time."""


class ShardsFailed(DistilleryError):
    """Some shards of a stage have no receipt; the others are done."""

    def __init__(self, failures: Sequence[ShardFailed]) -> None:
        super().__init__("; ".join(map(str, failures)))
        self.failures = tuple(failures)


def open_chain(config: str, corpus: str) -> Chain:
    """The state of a corpus as a configuration file sees it."""
    settings = load_config(config)
    return Chain(settings, Store(settings.root, settings.runtime.scratch), corpus)


def job_of(chain: Chain, link: Link, stage: str) -> Job:
    """What a task needs to make `stage` of a shard whose stages before it are done."""
    return Job(
        place=chain.place(stage, link.key),
        sources=link.sources(stage),
        inputs={"plan": link.plan}
        | {name: receipt.output for name, receipt in link.receipts.items()},
        row_group=link.row_group,
    )


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
    chain = open_chain(config, corpus)
    done = {receipt.key for receipt in downloads(chain.store, chain.corpus).receipts}
    wanted = wanted_archives(chain.corpus, chain.settings)
    bar = progress().bar(f"download {corpus}", len(wanted.keys() - done), "files")
    work = {
        key: {"config": chain.config, "key": key, "place": download_place(chain.corpus, key)}
        for key in wanted
        if key not in done
    }
    runtime = chain.config.runtime
    return len(gather(with_policy(download_task, runtime), "download", work, runtime.workers, bar))


@flow(name="plan", flow_run_name="plan {corpus}")
def plan(config: str, corpus: str) -> int:
    """Group the segments of each split into shards; returns how many splits had new files."""
    chain = open_chain(config, corpus)
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
        chain = open_chain(config, corpus)
        pending = [link for link in chain.links() if link.next_stage == stage]
        bar = progress().bar(f"{stage} {corpus}", len(pending), "shards")
        runtime = chain.config.runtime
        work = {
            link.key: {"config": chain.config, "job": job_of(chain, link, stage)}
            for link in pending
        }
        in_flight = 1 if stage in _WHOLE_DEVICE else runtime.workers
        try:
            made = gather(with_policy(shard_task, runtime), stage, work, in_flight, bar)
        finally:
            for folder in {chain.place(stage, key).folder for key in work}:
                summarise(chain.store, folder)
        return len(made)

    return run


normalise: Final = _shard_flow("normalise")
label: Final = _shard_flow("label")
score: Final = _shard_flow("score")
filter_windows: Final = _shard_flow("filter")


def make_again(config: RunConfig, chain: Chain, link: Link, stage: str) -> Receipt:
    """Remove the receipt of one shard and make it anew."""
    raise NotImplementedError


def pending_by_stage(links: Iterable[Link]) -> dict[str, int]:
    """How many shards wait at each stage."""
    counts: dict[str, int] = {}
    for link in links:
        if link.next_stage is not None:
            counts[link.next_stage] = counts.get(link.next_stage, 0) + 1
    return counts
