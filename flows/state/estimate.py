"""What a run would do and cost, estimated before anything is downloaded."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, get_args
from uuid import uuid4

from pydantic import BaseModel, ConfigDict

from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.shard_state import ShardState
from flows.state.windows import WindowEstimate
from storage.errors import TransientError, UserError
from storage.store import Store
from tasks.corpora.base import Role
from tasks.corpora.sources import Archive, Delivery, HubFiles
from tasks.download.parts import Part
from tasks.stages import SHARD_STAGES

_FLAC_BYTES_PER_HOUR: Final = 60e6
"""Speech at 16 kHz, 16 bit, one channel, as FLAC: LibriSpeech's 960 h take 60 GB."""

_DISTRIBUTED_BYTES_PER_HOUR: Final = 57.6e6
"""Where the distributor publishes no size: 16 kB for each second."""

LABEL_SPEED: Final = 144.5
"""Hours of single utterances labelled in an hour: the RTFx of the Open ASR Leaderboard for large-v2
in transformers, batch size 64, on an A100."""

WINDOWS_PER_S: Final = LABEL_SPEED / 7.3
"""Windows labelled in a second, full or not: every utterance of the leaderboard's test sets is
padded to a window, and lasts about 7.3 s by our estimate."""

_UTTERANCE_S: Final = 3.5
"""The mean duration of a synthetic utterance, roughly."""

_TERABYTE: Final = 1e12
_LABEL: Final = "label"


class Estimate(BaseModel):
    """What one corpus contains, what it costs, and how much of it is still to do.

    `hours` are labelled, in `windows`; `held_out_hours` are only normalised. `terabytes_to_write`
    are not in the store yet. `basis` says where the hours come from.
    """

    model_config = ConfigDict(frozen=True)

    corpus: str
    basis: str
    hours: float
    windows: int
    held_out_hours: float
    paper_hours: float | None
    shards: int
    terabytes_to_download: float
    is_size_estimated: bool
    terabytes_to_keep: float
    terabytes_to_write: float
    gpu_hours: float
    files_to_download: int
    has_unlisted_files: bool
    shards_to_do: Mapping[str, int]


def estimate(settings: RunConfig, store: Store) -> list[Estimate]:
    """An estimate for each corpus, from its plan if it has one, else from its published hours."""
    return [_estimate(state) for state in corpus_states(settings, store)]


def estimate_anywhere(settings: RunConfig, store: Store) -> tuple[list[Estimate], str]:
    """The estimates, and why the root could not be read; "" if it could.

    For a root that cannot be read, everything is estimated as still to do.
    """
    try:
        return estimate(settings, store), ""
    except (UserError, TransientError) as error:
        return estimate(settings, Store(f"memory://{uuid4().hex}")), str(error)


def total(found: Sequence[Estimate]) -> Estimate:
    """The sum over all corpora."""
    return Estimate(
        corpus="in all",
        basis="",
        hours=sum(one.hours for one in found),
        windows=sum(one.windows for one in found),
        held_out_hours=sum(one.held_out_hours for one in found),
        paper_hours=sum(one.paper_hours or 0.0 for one in found),
        shards=sum(one.shards for one in found),
        terabytes_to_download=sum(one.terabytes_to_download for one in found),
        is_size_estimated=any(one.is_size_estimated for one in found),
        terabytes_to_keep=sum(one.terabytes_to_keep for one in found),
        terabytes_to_write=sum(one.terabytes_to_write for one in found),
        gpu_hours=sum(one.gpu_hours for one in found),
        files_to_download=sum(one.files_to_download for one in found),
        has_unlisted_files=any(one.has_unlisted_files for one in found),
        shards_to_do={
            stage: sum(one.shards_to_do[stage] for one in found) for stage in SHARD_STAGES
        },
    )


def _estimate(state: CorpusState) -> Estimate:
    hours_of = _hours_by_split(state)
    mean_s = _UTTERANCE_S if _is_synthetic(state) else state.corpus.mean_utterance_s
    windows = WindowEstimate(state, mean_s)
    work = [
        one for split in state.splits() for one in _work(state, windows, split, hours_of[split])
    ]
    train = [one for one in work if _LABEL in one.stages]
    hours = sum(one.hours for one in work)
    raw, is_published = _raw_bytes(state, hours_of)
    parts, missing = state.downloads.parts, state.downloads.missing()
    raw_missing = raw * len(missing) / max(1, len(parts))
    return Estimate(
        corpus=state.corpus.name,
        basis=_basis(state),
        hours=sum(one.hours for one in train),
        windows=sum(one.num_windows for one in train),
        held_out_hours=sum(one.hours for one in work if _LABEL not in one.stages),
        paper_hours=state.corpus.paper_hours,
        shards=sum(one.num_shards for one in work),
        terabytes_to_download=raw_missing / _TERABYTE,
        is_size_estimated=not is_published,
        terabytes_to_keep=(raw + hours * _FLAC_BYTES_PER_HOUR) / _TERABYTE,
        terabytes_to_write=(
            raw_missing
            + sum(one.hours for one in _pending(work, "normalise")) * _FLAC_BYTES_PER_HOUR
        )
        / _TERABYTE,
        gpu_hours=sum(one.num_windows for one in _pending(work, _LABEL)) / WINDOWS_PER_S / 3600,
        files_to_download=len(missing),
        has_unlisted_files=any(
            isinstance(part.source, HubFiles) and part.file is None for part in missing.values()
        ),
        shards_to_do={
            stage: sum(one.num_shards for one in _pending(work, stage)) for stage in SHARD_STAGES
        },
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """A planned shard; or all shards that a split without a plan is expected to have."""

    hours: float
    num_windows: int
    num_shards: int
    stages: Collection[str]
    done: Collection[str] = ()


def _work(
    state: CorpusState, windows: WindowEstimate, split: str, hours_of_split: float
) -> list[_Work]:
    """The shards of a split."""
    if state.plan_receipts(split):
        return [_planned(shard, windows) for shard in state.shards_of(split)]
    hours = min(hours_of_split, state.settings.limit_hours or hours_of_split)
    num_shards = math.ceil(hours / state.config.plan.target_shard_hours)
    return [_Work(hours, windows.num_windows(hours), num_shards, state.stages(split))]


def _planned(shard: ShardState, windows: WindowEstimate) -> _Work:
    hours, label = shard.planned.hours, shard.receipts.get(_LABEL)
    num_windows = (
        windows.num_windows(hours, shard.planned.num_rows)
        if label is None
        else label.output.num_rows
    )
    return _Work(hours, num_windows, 1, shard.stages, shard.receipts)


def _pending(work: Iterable[_Work], stage: str) -> list[_Work]:
    return [one for one in work if stage in one.stages and stage not in one.done]


def _is_synthetic(state: CorpusState) -> bool:
    return state.config.synthetic is not None and state.settings.local is None


def _hours_by_split(state: CorpusState) -> Mapping[str, float]:
    """Hours by split: as published, or of the synthetic utterances to be created."""
    synthetic = state.config.synthetic
    if synthetic is None or not _is_synthetic(state):
        return state.corpus.hours
    hours = dict.fromkeys(state.corpus.splits, 0.0)
    for role in get_args(Role):
        is_train = role == "train"
        num_utterances = (
            synthetic.num_train_utterances if is_train else synthetic.num_eval_utterances
        )
        for split in state.splits(role)[:1]:
            hours[split] = num_utterances * _UTTERANCE_S / 3600
    return hours


def _basis(state: CorpusState) -> str:
    if all(state.plan_receipts(split) for split in state.splits()):
        return "planned"
    if state.settings.local is not None:
        return "as configured" if state.settings.local.hours else "not known"
    return "published" if state.config.synthetic is None else "made up here"


def _raw_bytes(state: CorpusState, hours_of: Mapping[str, float]) -> tuple[float, bool]:
    """The bytes of the chosen splits as distributed, and whether the distributor publishes them.

    Deliveries are read in place and not copied; the files downloaded beside one are small.
    """
    corpus, is_synthetic = state.corpus, state.config.synthetic is not None
    sizes = [_size_bytes(part) for part in state.downloads.parts.values()]
    known = [size for size in sizes if size is not None]
    is_delivered = any(isinstance(one, Delivery) for one in corpus.sources)
    if not is_synthetic and (len(known) == len(sizes) or is_delivered):
        return sum(known), len(known) == len(sizes)
    hours = sum(_hours_to_download(state, hours_of).values())
    all_hours = sum(corpus.hours.values())
    if corpus.distributed_gb is None or not all_hours or is_synthetic:
        return hours * _DISTRIBUTED_BYTES_PER_HOUR, False
    return corpus.distributed_gb * 1e9 * hours / all_hours, True


def _size_bytes(part: Part) -> int | None:
    """The size, or None if unknown, like that of a Hub data set whose files are not listed yet."""
    if isinstance(part.source, Delivery):
        return 0
    if isinstance(part.source, Archive):
        return part.source.size_bytes
    return part.file.size_bytes or None if part.file is not None else None


def _hours_to_download(state: CorpusState, hours_of: Mapping[str, float]) -> Mapping[str, float]:
    """Hours by split of what is downloaded: an archive of several splits is downloaded whole."""
    sources, limit_hours = state.corpus.sources, state.settings.limit_hours
    is_whole = any(isinstance(one, Archive) and not one.splits for one in sources)
    splits = tuple(state.corpus.splits) if is_whole else state.splits()
    is_pilot = state.corpus.self_contained and limit_hours is not None
    return {
        split: min(hours_of[split], limit_hours) if is_pilot and limit_hours else hours_of[split]
        for split in splits
    }
