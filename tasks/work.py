"""One shard of one stage: its inputs opened, its transform run, its output committed."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from time import perf_counter

import pyarrow.parquet as pq

from configs.schema import RunConfig
from storage.commit import Commit
from storage.outcome import Outcome, Outcomes
from storage.receipt import FileRef, Receipt
from storage.receipts import Split
from storage.stage import Place, combined_digest, find_receipt
from storage.store import Store
from tasks.corpora.registry import corpus_of_run
from tasks.download.files import RawFiles
from tasks.download.parts import Downloads
from tasks.job import Inputs, Job
from tasks.plan.parts import current_parts
from tasks.plan.shard import plan_part
from tasks.plan.stage import PLAN
from tasks.stages import stage_named


def run_job(config: RunConfig, job: Job) -> Receipt:
    """Make one shard, or return the receipt that already exists.

    Raises `ShardError` when the shard cannot be made from its input, `IntegrityError` when an
    input is not what its receipt says, `TransientError` for faults that may pass.
    """
    store = Store(config.root, config.runtime.scratch)
    stage = stage_named(job.place.stage)
    if stage.make_shard is None:
        raise ValueError(f"{stage.name} is not made shard by shard")
    if (done := find_receipt(store, job.place, combined_digest(job.sources))) is not None:
        return done
    started_s = perf_counter()
    recorded: dict[str, float | int | str] = {}
    with ExitStack() as open_files:
        output = stage.make_shard(Inputs(config, store, job, open_files))
        recorded.update(output.recorded)
        commit = Commit(
            store=store,
            table=stage.table,
            place=job.place,
            sources=job.sources,
            ids_in=output.input_ids,
            max_quarantined_percent=config.runtime.max_quarantined_percent,
            recorded=recorded,
        )
        # closed before the files are, so that no thread reads on after the commit has failed
        outcomes = open_files.enter_context(closing(_timed(output.outcomes, started_s, recorded)))
        return commit(outcomes)


def run_plan(config: RunConfig, place: Place, archives: Sequence[Receipt]) -> Receipt:
    """Plan what the downloaded `archives` add to a split: the next part of its plan.

    Segments of earlier parts stay where they are; rows that these rejected are planned if their
    source was completed since. Raises what `run_job` raises.
    """
    store = Store(config.root, config.runtime.scratch)
    corpus, settings = corpus_of_run(config, place.key.corpus), config.corpora[place.key.corpus]
    sources = tuple(archive.output.sha256 for archive in archives)
    if (done := find_receipt(store, place, combined_digest(sources))) is not None:
        return done
    plan = current_parts(
        store,
        Downloads.load(store, corpus, settings),
        place.key.split,
        Split.load(store, place.folder).receipts,
    )
    earlier = [part for part in plan.parts if part.key.index < place.key.index]
    raw = RawFiles(store, archives, settings.mirror)
    rejected_ids = frozenset(_ids(store, [one.rejected for one in earlier]))
    part = plan_part(
        corpus.read(raw),
        split=place.key.split,
        known_ids=rejected_ids.union(_ids(store, [one.output for one in earlier])),
        rejected_ids=rejected_ids,
        first_shard=sum(len(receipt.planned) for receipt in earlier),
        target_shard_hours=config.plan.target_shard_hours,
        file_digests=raw.digests,
        self_contained=corpus.self_contained,
    )
    commit = Commit(
        store=store,
        table=PLAN.table,
        place=place,
        sources=sources,
        ids_in=None,
        max_quarantined_percent=config.runtime.max_quarantined_percent,
        planned=part.shards,
    )
    return commit(iter(part.outcomes))


def _ids(store: Store, files: Sequence[FileRef | None]) -> Iterator[str]:
    for file in files:
        if file is not None:
            with store.fetch(file) as path:
                yield from pq.read_table(path, columns=["id"]).column("id").to_pylist()


def _timed(
    outcomes: Outcomes, started_s: float, recorded: dict[str, float | int | str]
) -> Generator[Outcome, None, None]:
    yield from outcomes
    recorded["seconds"] = round(perf_counter() - started_s, 3)
