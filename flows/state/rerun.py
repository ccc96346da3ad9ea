"""Processing one shard again: whether it exists, its job, and the receipts to delete first."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState
from storage.errors import UserError
from storage.receipt import Receipt
from storage.shard import ShardKey
from storage.stage import Place, combined_digest
from tasks.download.parts import Part, download_place
from tasks.download.stage import DOWNLOAD
from tasks.job import Job
from tasks.plan.stage import PLAN
from tasks.stages import CORPUS_STAGES

RERUN_STAGES: Final = CORPUS_STAGES
"""Stages with shards that can be made again one by one."""


@dataclass(frozen=True)
class Rerun:
    """A shard to process again, and the receipts to delete first.

    Exactly one of `job`, `part` and `files` is given, as in a `Unit`.
    """

    place: Place
    stale: tuple[str, ...]
    job: Job | None = None
    part: Part | None = None
    files: tuple[Receipt, ...] = ()

    @property
    def key(self) -> ShardKey:
        """The shard."""
        return self.place.key


def rerun_stage(name: str) -> str:
    """The stage of this name; raises `UserError` if it does not process shard by shard."""
    for stage in RERUN_STAGES:
        if stage == name:
            return stage
    raise UserError(f"{name} is not processed shard by shard; rerun takes {_listed(RERUN_STAGES)}")


def find_rerun(config: RunConfig, stage: str, key: ShardKey) -> tuple[CorpusState, Rerun]:
    """The state of a shard's corpus, and what processing the shard again needs.

    Raises `UserError` for an unknown corpus, split or shard, and where its input is missing.
    """
    if key.corpus not in config.corpora:
        raise UserError(f"no corpus {key.corpus!r} in the run; it has {_listed(config.corpora)}")
    state = CorpusState.open(config, key.corpus)
    if stage == DOWNLOAD.name:
        return state, _download(state, key)
    if key.split not in state.splits():
        raise UserError(
            f"no split {key.split!r} in {key.corpus}; the splits are {_listed(state.splits())}"
        )
    return state, _plan(state, key) if stage == PLAN.name else _shard(state, stage, key)


def _download(state: CorpusState, key: ShardKey) -> Rerun:
    parts = state.downloads.parts
    if key not in parts:
        raise UserError(f"no download {key}; the downloads are {_listed(map(str, parts))}")
    place = download_place(state.corpus, key)
    receipt = state.downloads.receipts.get(key)
    stale = () if receipt is None else (place.receipt_path(receipt.source_digest),)
    return Rerun(place, stale, part=parts[key])


def _plan(state: CorpusState, key: ShardKey) -> Rerun:
    """A part of a split's plan, from the files that it was made from."""
    place = state.place(PLAN.name, key)
    if files := state.unplanned_splits().get(key):
        return Rerun(place, (), files=files)
    parts = {part.key: part for part in state.plan_receipts(key.split)}
    if key not in parts:
        waiting = state.unready() or ["download"]
        raise UserError(
            f"no plan {key}: {len(parts)} parts of {key.corpus}/{key.split} are planned, numbered"
            f" from 00000; next is {waiting[0]}"
        )
    files_by_digest = {file.output.sha256: file for file in state.downloads.receipts.values()}
    if gone := [one for one in parts[key].sources if one not in files_by_digest]:
        raise UserError(
            f"plan {key} was made from a file with sha256 {gone[0]}, which is not among the"
            " downloads now; `distillery run` plans the files that are"
        )
    files = tuple(files_by_digest[one] for one in parts[key].sources)
    return Rerun(place, (place.receipt_path(parts[key].source_digest),), files=files)


def _shard(state: CorpusState, stage: str, key: ShardKey) -> Rerun:
    shards = {shard.key: shard for shard in state.shards_of(key.split)}
    if key not in shards:
        raise UserError(
            f"no shard {key}: {len(shards)} are planned in {key.corpus}/{key.split},"
            " numbered from 00000"
        )
    shard = shards[key]
    if stage not in shard.stages:
        if state.corpus.splits[key.split] != "train":
            raise UserError(f"{key} is held-out speech, which does not go through {stage}")
        raise UserError(f"{key} goes only through {_listed(shard.stages)}, not through {stage}")
    before = shard.stages[: shard.stages.index(stage)]
    if missing := [name for name in before if name not in shard.receipts]:
        raise UserError(f"{stage} {key} needs {missing[0]} first; rerun that")
    job = state.job(shard, stage)
    return Rerun(job.place, (job.place.receipt_path(combined_digest(job.sources)),), job=job)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
