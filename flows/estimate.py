"""What a run would do and cost, told before anything is downloaded."""

from typing import Final

from pydantic import BaseModel, ConfigDict

from configs.schema import RunConfig
from flows.chain import Chain, chains
from flows.screen import OUT, table
from storage.store import Store
from tasks.download.raw import wanted_archives
from tasks.stages import SHARD_STAGES

_FLAC_BYTES_PER_HOUR: Final = 60e6
"""Speech at 16 kHz, 16 bit, one channel, as FLAC: LibriSpeech's 960 h take 60 GB."""

_LABEL_SPEED: Final = 144.5
"""Hours labelled in an hour: large-v2 in transformers, batch 64, on an A100; the Open ASR
Leaderboard's RTFx."""


class Estimate(BaseModel):
    """For one corpus: what it holds, what it takes, and how much of it is still to do."""

    model_config = ConfigDict(frozen=True)

    corpus: str
    hours: float
    shards: int
    terabytes: float
    gpu_hours: float
    files_to_download: int
    shards_to_do: dict[str, int]
    is_planned: bool


def estimate(settings: RunConfig, store: Store) -> list[Estimate]:
    """An estimate for each corpus: by its plan where there is one, else by its published hours."""
    return [_estimate(chain) for chain in chains(settings, store)]


def _estimate(chain: Chain) -> Estimate:
    links = chain.links("train")
    target = chain.config.plan.target_shard_hours
    if links:
        hours = sum(link.planned.hours for link in links)
        num_shards = len(links)
    else:
        hours = min(chain.corpus.hours, chain.settings.limit_hours or chain.corpus.hours)
        num_shards = max(1, round(hours / target))
    to_do = {
        stage: sum(stage not in link.receipts for link in links) if links else num_shards
        for stage in SHARD_STAGES
    }
    hours_to_label = hours * to_do["label"] / num_shards
    done = {receipt.key for receipt in chain.downloads.receipts}
    return Estimate(
        corpus=chain.corpus.name,
        hours=hours,
        shards=num_shards,
        terabytes=2 * hours * _FLAC_BYTES_PER_HOUR / 1e12,  # as distributed, and normalised
        gpu_hours=hours_to_label / _LABEL_SPEED,
        files_to_download=len(wanted_archives(chain.corpus, chain.settings).keys() - done),
        shards_to_do=to_do,
        is_planned=bool(links),
    )


def print_estimate(settings: RunConfig, store: Store) -> None:
    """The estimates as a table."""
    found = estimate(settings, store)
    made = table(
        "What a run would do",
        "corpus",
        "hours",
        "shards",
        "terabytes",
        "files",
        *SHARD_STAGES,
        "GPU h",
    )
    for one in found:
        made.add_row(
            one.corpus,
            f"{one.hours:,.1f}{'' if one.is_planned else ' published'}",
            str(one.shards),
            f"{one.terabytes:.3f}",
            str(one.files_to_download),
            *(str(one.shards_to_do[stage]) for stage in SHARD_STAGES),
            f"{one.gpu_hours:.2f}",
        )
    OUT.print(made)
    OUT.print(
        f"GPU hours at {_LABEL_SPEED}x real time (large-v2, one A100); nothing was run.",
        markup=False,
    )
