"""One shard again: whether there is such a shard, and what has to go before it is made anew."""

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
"""Stages of which a single shard can be made again."""


@dataclass(frozen=True)
class Again:
    """A shard to make again, by its job or as a part of a download; the receipts that are to go."""

    place: Place
    stale: tuple[str, ...]
    job: Job | None = None
    part: Part | None = None

    @property
    def key(self) -> ShardKey:
        """The shard."""
        return self.place.key


def command_again(config: str | Path, stage: str, key: ShardKey) -> str:
    """The command that mends a shard, or where a stage is not made by shards, goes on with it."""
    words = f"rerun {config} {stage} {key}" if stage in RERUN_STAGES else f"run {config}"
    return f"distillery {words}"


def rerun_stage(name: str) -> str:
    """The stage of this name; raises `UserError` for one that is not made shard by shard."""
    for stage in RERUN_STAGES:
        if stage == name:
            return stage
    raise UserError(f"{name} is not made shard by shard; rerun takes {_listed(RERUN_STAGES)}")


def find_again(config: RunConfig, stage: str, key: ShardKey) -> tuple[CorpusState, Again]:
    """What making a shard of a stage again takes.

    Raises `UserError` for a corpus, a split or a shard that there is not, and for a shard whose
    input is not there yet.
    """
    if key.corpus not in config.corpora:
        raise UserError(f"no corpus {key.corpus!r} in the run; it has {_listed(config.corpora)}")
    state = CorpusState.open(config, key.corpus)
    return state, _download(state, key) if stage == DOWNLOAD.name else _shard(state, stage, key)


def _download(state: CorpusState, key: ShardKey) -> Again:
    wanted = state.downloads.parts
    if key not in wanted:
        raise UserError(f"no download {key}; there are {_listed(map(str, wanted))}")
    place = download_place(state.corpus, key)
    receipt = state.downloads.receipts.get(key)
    stale = () if receipt is None else (place.receipt_path(receipt.source_digest),)
    return Again(place, stale, part=wanted[key])


def _shard(state: CorpusState, stage: str, key: ShardKey) -> Again:
    if key.split not in state.splits():
        raise UserError(
            f"no split {key.split!r} in {key.corpus}; there are {_listed(state.splits())}"
        )
    shards = {shard.key: shard for shard in state.shards_of(key.split)}
    if key not in shards:
        raise UserError(
            f"no shard {key}: {len(shards)} are planned in {key.corpus}/{key.split},"
            " counted from 00000"
        )
    shard = shards[key]
    if stage not in shard.stages:
        if state.corpus.splits[key.split] != "train":
            raise UserError(f"{key} is held-out speech, which {stage} never sees")
        raise UserError(f"{key} goes through {_listed(shard.stages)} alone, not through {stage}")
    before = shard.stages[: shard.stages.index(stage)]
    if lacking := [name for name in before if name not in shard.receipts]:
        raise UserError(f"{stage} {key} needs its {lacking[0]} first; rerun that")
    job = state.job(shard, stage)
    return Again(job.place, (job.place.receipt_path(combined_digest(job.sources)),), job=job)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
