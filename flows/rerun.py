"""One shard again: whether there is such a shard, and what has to go before it is made anew."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from configs.schema import RunConfig
from flows.chain import Chain
from storage.errors import UserError
from storage.shard import ShardKey
from storage.stage import Place, combined_digest
from tasks.download.parts import Part, download_place
from tasks.work import Job

RerunStage = Literal["download", "normalise", "label", "score", "index", "filter"]
"""What is made shard by shard, and can be made again so."""

RERUN_STAGES: Final[tuple[RerunStage, ...]] = get_args(RerunStage)


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


def rerun_stage(name: str) -> RerunStage:
    """The stage of this name; raises `UserError` for one that is not made shard by shard."""
    for stage in RERUN_STAGES:
        if stage == name:
            return stage
    raise UserError(f"{name} is not made shard by shard; rerun takes {_listed(RERUN_STAGES)}")


def find_again(config: RunConfig, stage: RerunStage, key: ShardKey) -> tuple[Chain, Again]:
    """What making a shard of a stage again takes.

    Raises `UserError` for a corpus, a split or a shard that there is not, and for a shard whose
    input is not there yet.
    """
    if key.corpus not in config.corpora:
        raise UserError(f"no corpus {key.corpus!r} in the run; it has {_listed(config.corpora)}")
    chain = Chain.open(config, key.corpus)
    return chain, _download(chain, key) if stage == "download" else _shard(chain, stage, key)


def _download(chain: Chain, key: ShardKey) -> Again:
    wanted = chain.downloads.parts
    if key not in wanted:
        raise UserError(f"no download {key}; there are {_listed(map(str, wanted))}")
    place = download_place(chain.corpus, key)
    receipt = chain.downloads.receipts.get(key)
    stale = () if receipt is None else (place.receipt_path(receipt.source_digest),)
    return Again(place, stale, part=wanted[key])


def _shard(chain: Chain, stage: str, key: ShardKey) -> Again:
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
        if chain.corpus.splits[key.split] != "train":
            raise UserError(f"{key} is held-out speech, which {stage} never sees")
        raise UserError(f"{key} goes through {_listed(link.stages)} alone, not through {stage}")
    before = link.stages[: link.stages.index(stage)]
    if lacking := [name for name in before if name not in link.receipts]:
        raise UserError(f"{stage} {key} needs its {lacking[0]} first; rerun that")
    job = chain.job(link, stage)
    return Again(job.place, (job.place.receipt_path(combined_digest(job.sources)),), job=job)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
