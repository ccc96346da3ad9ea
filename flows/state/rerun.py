"""Processing one shard again: whether it exists, its job, and the receipts to delete first."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState
from storage.errors import UserError
from storage.shard import ShardKey
from storage.stage import Place, combined_digest
from tasks.download.parts import Part, download_place
from tasks.download.stage import DOWNLOAD
from tasks.job import Job
from tasks.stages import SHARD_STAGES

RERUN_STAGES: Final = (DOWNLOAD.name, *SHARD_STAGES)
"""Stages with shards that can be made again one by one."""


@dataclass(frozen=True)
class Rerun:
    """A shard to process again: its job, or its part of a download, and the receipts to delete."""

    place: Place
    stale: tuple[str, ...]
    job: Job | None = None
    part: Part | None = None

    @property
    def key(self) -> ShardKey:
        """The shard."""
        return self.place.key


def repair_command(config: str | Path, stage: str, key: ShardKey) -> str:
    """The command that repairs a shard; `run` for a stage that `rerun` does not take."""
    words = f"rerun {config} {stage} {key}" if stage in RERUN_STAGES else f"run {config}"
    return f"distillery {words}"


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
    return state, _download(state, key) if stage == DOWNLOAD.name else _shard(state, stage, key)


def _download(state: CorpusState, key: ShardKey) -> Rerun:
    parts = state.downloads.parts
    if key not in parts:
        raise UserError(f"no download {key}; the downloads are {_listed(map(str, parts))}")
    place = download_place(state.corpus, key)
    receipt = state.downloads.receipts.get(key)
    stale = () if receipt is None else (place.receipt_path(receipt.source_digest),)
    return Rerun(place, stale, part=parts[key])


def _shard(state: CorpusState, stage: str, key: ShardKey) -> Rerun:
    if key.split not in state.splits():
        raise UserError(
            f"no split {key.split!r} in {key.corpus}; the splits are {_listed(state.splits())}"
        )
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
