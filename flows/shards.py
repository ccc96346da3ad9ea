"""One flow a stage and corpus: a task for each pending shard, never more in flight than workers.

A shard that fails does not stop the others; the flow then ends as failed and names each of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from threading import Semaphore
from typing import Any, Final, TypeVar

from prefect import Flow, Task, flow
from prefect.futures import PrefectFuture

from configs.load import load_config
from flows.chain import Chain, Link
from flows.progress import Bar, progress
from storage.errors import DistilleryError, UserError
from storage.receipt import Receipt
from storage.receipts import summarise
from storage.shard import ShardKey
from storage.stage import combined_digest
from storage.store import Store
from tasks.download.raw import download_place, downloads, wanted_archives
from tasks.run import ShardFailed, download_task, plan_task, shard_task, with_policy
from tasks.stages import SHARD_STAGES
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


@flow(name="rerun-shard", flow_run_name="rerun {stage} {shard}")
def rerun(config: str, stage: str, shard: str) -> None:
    """Make one shard again, whether or not it is done: `label librispeech/train-clean-100/00007`.

    What depends on it is redone by the next run if and only if its digest changed. Raises
    `UserError` for a stage or a shard that there is not, or whose input is not there yet, and
    `ShardsFailed` when the shard fails.
    """
    key = ShardKey.parse(shard)
    settings = load_config(config)
    if key.corpus not in settings.corpora:
        raise UserError(
            f"{config} has no corpus {key.corpus!r}; it has {_listed(settings.corpora)}"
        )
    chain = open_chain(config, key.corpus)
    if stage == "download":
        task, arguments, stale = _download_again(chain, key)
    else:
        task, arguments, stale = _shard_again(chain, stage, key)
    for path in stale:
        chain.store.delete(path)
    bar = progress().bar(f"{stage} {key}", 1, "shards")
    gather(with_policy(task, settings.runtime), stage, {key: arguments}, 1, bar)


_Again = tuple[Task[..., Receipt], dict[str, Any], list[str]]
"""The task, its arguments, and the receipts that are to go first."""


def _download_again(chain: Chain, key: ShardKey) -> _Again:
    wanted = wanted_archives(chain.corpus, chain.settings)
    if key not in wanted:
        raise UserError(f"no download {key}; there are {_listed(map(str, wanted))}")
    place = download_place(chain.corpus, key)
    done = [
        receipt for receipt in downloads(chain.store, chain.corpus).receipts if receipt.key == key
    ]
    arguments = {"config": chain.config, "key": key, "place": place}
    return download_task, arguments, [place.receipt_path(one.source_digest) for one in done]


def _shard_again(chain: Chain, stage: str, key: ShardKey) -> _Again:
    if stage not in SHARD_STAGES:
        raise UserError(
            f"{stage} is not made shard by shard; `rerun` takes download, {_listed(SHARD_STAGES)}"
        )
    if key.split not in chain.splits():
        raise UserError(
            f"no split {key.split!r} in {key.corpus}; there are {_listed(chain.splits())}"
        )
    links = {link.key: link for link in chain.links_of(key.split)}
    if key not in links:
        raise UserError(
            f"no shard {key}: {len(links)} are planned in {key.corpus}/{key.split},"
            " counted from 00000"
        )
    link = links[key]
    if stage not in link.stages:
        raise UserError(f"{key} is held-out speech, which {stage} never sees")
    before = link.stages[: link.stages.index(stage)]
    if lacking := [name for name in before if name not in link.receipts]:
        raise UserError(f"{stage} {key} needs {lacking[0]} of it first; rerun that")
    place = chain.place(stage, key)
    stale = place.receipt_path(combined_digest(link.sources(stage)))
    return shard_task, {"config": chain.config, "job": job_of(chain, link, stage)}, [stale]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
