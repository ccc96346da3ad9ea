"""A part to hold out where a source has none: whole speakers, by the hash of their names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from configs.schema import LocalSplit
from flows.init.source import Role, Source, Speech
from tasks.corpora.base import split_by_hash

NAMES: Final[Mapping[Role, str]] = {"validation": "dev", "test": "test"}
"""What the splits are called that are held out."""

_WANTED_PERCENT: Final = 5.0
_MOST_HOURS: Final = 5.0
_ENOUGH: Final = 0.8
_CANDIDATES: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0, 20.0)


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The splits of a source with a validation and a test part, and the hours of each."""

    splits: dict[str, LocalSplit]
    hours: dict[str, float]
    percents: dict[str, float]
    """Of the splits that were held out here; empty where the source had both parts."""


def hold_out(source: Source) -> HeldOut:
    """The splits of `source`, with shares of its training speakers for the roles that it lacks.

    Each share is the smallest percentage whose speakers have 5 % of the training hours, or 5 h
    where that is less; without rows to count it is the percentage itself. A source without texts,
    or whose training speech is one speaker's alone, stays as it is.
    """
    train = [name for name, split in source.splits.items() if split.role == "train"]
    missing = [role for role in NAMES if not source.has_role(role)]
    keys = {speech.key for speech in source.train}
    if not source.has_texts or not train or not missing or (source.train and len(keys) < 3):
        return HeldOut(splits=source.splits, hours=source.hours, percents={})
    hours = sum(source.hours[name] for name in train)
    percents: dict[str, float] = {}
    for role in missing:
        name = _unused(NAMES[role], source.splits)
        percents[name] = _percent(source.train, hours, percents, name)
    shared = tuple(pattern for name in train for pattern in source.splits[name].files)
    made = {
        _unused(NAMES[role], source.splits): LocalSplit(
            files=shared, role=role, percent=percents[_unused(NAMES[role], source.splits)]
        )
        for role in missing
    }
    others = {name: split for name, split in source.splits.items() if name not in train}
    rest = {name: source.splits[name] for name in train}
    found = _hours(source.train, percents, hours)
    left = 1 - sum(found.values()) / hours if hours else 1.0
    return HeldOut(
        splits={**others, **made, **rest},
        hours={
            **{name: source.hours[name] for name in others},
            **found,
            **{name: source.hours[name] * left for name in train},
        },
        percents=percents,
    )


def _unused(name: str, splits: Mapping[str, LocalSplit]) -> str:
    return name if name not in splits else f"held-out-{name}"


def _percent(
    speech: Sequence[Speech], hours: float, others: Mapping[str, float], name: str
) -> float:
    """The percentage for one more split, behind those of `others`."""
    wanted = min(hours * _WANTED_PERCENT / 100, _MOST_HOURS)
    if not speech:
        return round(min(_WANTED_PERCENT, 100 * _MOST_HOURS / hours), 1) if hours else 5.0
    for percent in _CANDIDATES:
        if _hours(speech, {**others, name: percent}, hours)[name] >= _ENOUGH * wanted > 0:
            return percent
    return _CANDIDATES[-1]


def _hours(
    speech: Sequence[Speech], percents: Mapping[str, float], hours: float
) -> dict[str, float]:
    """The hours that each share gets: of the speech that is known, else by its percentage."""
    if not speech:
        return {name: hours * percent / 100 for name, percent in percents.items()}
    known = [one.duration_s for one in speech if one.duration_s is not None]
    mean_s = sum(known) / len(known) if known else 1.0
    found = dict.fromkeys(percents, 0.0)
    total = 0.0
    for one in speech:
        duration_s = mean_s if one.duration_s is None else one.duration_s
        total += duration_s
        split = split_by_hash(one.key, percents, "")
        if split:
            found[split] += duration_s
    return {name: hours * seconds / total if total else 0.0 for name, seconds in found.items()}
