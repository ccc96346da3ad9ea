"""What a run would do and cost, told before anything is downloaded."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, get_args
from uuid import uuid4

from pydantic import BaseModel, ConfigDict

from configs.schema import RunConfig
from flows.commands.screen import OUT, complain, table
from flows.state.corpus_state import CorpusState, corpus_states
from storage.errors import TransientError, UserError
from storage.store import Store
from tasks.corpora.base import Role
from tasks.corpora.sources import Archive, Delivery, HubFiles
from tasks.download.parts import Part
from tasks.stages import SHARD_STAGES

_FLAC_BYTES_PER_HOUR: Final = 60e6
"""Speech at 16 kHz, 16 bit, one channel, as FLAC: LibriSpeech's 960 h take 60 GB."""

_DISTRIBUTED_BYTES_PER_HOUR: Final = 57.6e6
"""Where a distributor does not say: 16 kB for each second."""

_LABEL_SPEED: Final = 144.5
"""Hours labelled in an hour: large-v2 in transformers, batch 64, on an A100; the Open ASR
Leaderboard's RTFx."""

_UTTERANCE_S: Final = 3.5
"""What an utterance lasts, roughly, that is made up here."""

_TERABYTE: Final = 1e12
_MANY_HOURS: Final = 10.0
_BASIS: Final = 2  # the number of its column
_LABEL: Final = "label"

_LEGEND: Final = (
    "hours: of training speech, to be labelled; held out: of validation and test speech, only"
    " normalised.\n"
    "~: no size is published, estimated from the hours; +: and the files that a listing will"
    " show.\n"
    f"GPU hours at {_LABEL_SPEED}x real time (large-v2, one A100). Nothing was run."
)


class Estimate(BaseModel):
    """For one corpus: what it holds, what it takes, and how much of it is still to do.

    `hours` are to be labelled and `held_out_hours` only normalised; terabytes to write are those
    that are not yet in the store. `basis` is where the hours come from.
    """

    model_config = ConfigDict(frozen=True)

    corpus: str
    basis: str
    hours: float
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
    """An estimate for each corpus: by its plan where there is one, else by its published hours."""
    return [_estimate(state) for state in corpus_states(settings, store)]


def estimate_anywhere(settings: RunConfig, store: Store) -> list[Estimate]:
    """The same also where the root cannot be reached: everything then counts as still to do."""
    try:
        return estimate(settings, store)
    except (UserError, TransientError) as error:
        found = estimate(settings, Store(f"memory://{uuid4().hex}"))
        complain(f"{error}; estimated as if nothing were done")
        return found


def total(found: Sequence[Estimate]) -> Estimate:
    """The sum over all corpora."""
    return Estimate(
        corpus="in all",
        basis="",
        hours=sum(one.hours for one in found),
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
    hours_of = _told_hours(state)
    work = [one for split in state.splits() for one in _work(state, split, hours_of[split])]
    train = [one for one in work if _LABEL in one.stages]
    hours = sum(one.hours for one in work)
    raw, is_published = _raw_bytes(state, hours_of)
    parts, missing = state.downloads.parts, state.downloads.missing()
    raw_missing = raw * len(missing) / max(1, len(parts))
    return Estimate(
        corpus=state.corpus.name,
        basis=_basis(state),
        hours=sum(one.hours for one in train),
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
        gpu_hours=sum(one.hours for one in _pending(work, _LABEL)) / _LABEL_SPEED,
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
    """A planned shard, or as many as a split that has no plan will fill."""

    hours: float
    num_shards: int
    stages: Collection[str]
    done: Collection[str] = ()


def _work(state: CorpusState, split: str, told_hours: float) -> list[_Work]:
    """The shards of a split."""
    if state.plan_receipts(split):
        shards = state.shards_of(split)
        return [_Work(shard.planned.hours, 1, shard.stages, shard.receipts) for shard in shards]
    hours = min(told_hours, state.settings.limit_hours or told_hours)
    num_shards = math.ceil(hours / state.config.plan.target_shard_hours)
    return [_Work(hours, num_shards, state.stages(split))]


def _pending(work: Iterable[_Work], stage: str) -> list[_Work]:
    return [one for one in work if stage in one.stages and stage not in one.done]


def _told_hours(state: CorpusState) -> Mapping[str, float]:
    """Hours by split: as published, or of as many utterances as are made up here."""
    made = state.config.synthetic
    if made is None or state.settings.local is not None:
        return state.corpus.hours
    hours = dict.fromkeys(state.corpus.splits, 0.0)
    for role in get_args(Role):
        num_utterances = made.num_train_utterances if role == "train" else made.num_eval_utterances
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
    """What the chosen splits take as distributed, and whether the distributor says so.

    What is delivered is not copied; files that come beside a delivery are small.
    """
    corpus, is_made_up = state.corpus, state.config.synthetic is not None
    sizes = [_size_bytes(part) for part in state.downloads.parts.values()]
    known = [size for size in sizes if size is not None]
    is_delivered = any(isinstance(one, Delivery) for one in corpus.sources)
    if not is_made_up and (len(known) == len(sizes) or is_delivered):
        return sum(known), len(known) == len(sizes)
    hours = sum(_hours_to_bring(state, hours_of).values())
    all_hours = sum(corpus.hours.values())
    if corpus.distributed_gb is None or not all_hours or is_made_up:
        return hours * _DISTRIBUTED_BYTES_PER_HOUR, False
    return corpus.distributed_gb * 1e9 * hours / all_hours, True


def _size_bytes(part: Part) -> int | None:
    """None: not known, as of the files of a Hub data set before these are listed."""
    if isinstance(part.source, Delivery):
        return 0
    if isinstance(part.source, Archive):
        return part.source.size_bytes
    return part.file.size_bytes or None if part.file is not None else None


def _hours_to_bring(state: CorpusState, hours_of: Mapping[str, float]) -> Mapping[str, float]:
    """Hours by split that come with the chosen ones: files that hold several come whole."""
    sources, limit_hours = state.corpus.sources, state.settings.limit_hours
    is_whole = any(isinstance(one, Archive) and not one.splits for one in sources)
    splits = tuple(state.corpus.splits) if is_whole else state.splits()
    is_pilot = state.corpus.self_contained and limit_hours is not None
    return {
        split: min(hours_of[split], limit_hours) if is_pilot and limit_hours else hours_of[split]
        for split in splits
    }


def print_estimate(found: Sequence[Estimate]) -> None:
    """The estimates as a table, with their sum."""
    to_do = total(found).shards_to_do
    stages = [stage for stage in SHARD_STAGES if stage != "index" or to_do[stage]]
    made = table(
        "What a run would do",
        "corpus",
        "hours",
        "",
        "held out",
        "shards",
        "TB to bring",
        "TB to keep",
        "files",
        *stages,
        "GPU h",
        words=[""],
    )
    for number, one in enumerate([*found, total(found)], start=1):
        made.add_row(
            one.corpus,
            _shown(one.hours),
            one.basis,
            _shown(one.held_out_hours),
            f"{one.shards:,}",
            f"{'~' if one.is_size_estimated else ''}{one.terabytes_to_download:.3f}",
            f"{one.terabytes_to_keep:.3f}",
            f"{one.files_to_download:,}{'+' if one.has_unlisted_files else ''}",
            *(f"{one.shards_to_do[stage]:,}" for stage in stages),
            f"{one.gpu_hours:,.2f}",
            end_section=number == len(found),
        )
    made.columns[_BASIS].no_wrap = True
    OUT.print(made)
    if published := [one for one in found if one.paper_hours and one.basis == "published"]:
        named = ", ".join(f"{one.corpus} {one.paper_hours:,.0f}" for one in published)
        hours = total(published).paper_hours or 0.0
        OUT.print(
            f"Hours that the paper took: {named}; {hours:,.0f} in all, which would be"
            f" {hours / _LABEL_SPEED:,.0f} GPU h.",
            markup=False,
        )
    OUT.print(_LEGEND, markup=False)


def _shown(hours: float) -> str:
    return f"{hours:,.1f}" if hours >= _MANY_HOURS else f"{hours:.2f}"
