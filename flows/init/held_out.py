"""A part to hold out where a source has none: whole speakers, by the hash of their names."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from configs.schema import LocalSplit
from flows.init.source import Role, Source, Speech
from tasks.corpora.base import hash_position, split_by_hash

NAMES: Final[Mapping[Role, str]] = {"validation": "dev", "test": "test"}
"""What the splits are called that are held out."""

_WANTED_PERCENT: Final = 5.0
_MOST_HOURS: Final = 5.0
_ENOUGH: Final = 0.8
_FEWEST: Final = 3


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The splits of a source with a validation and a test part, and the hours of each."""

    splits: dict[str, LocalSplit]
    hours: dict[str, float]
    percents: dict[str, float]
    """Of the splits that were held out here; empty where the source had both parts."""


def hold_out(source: Source) -> HeldOut:
    """The splits of `source`, with shares of its training speakers for the roles that it lacks.

    Each share is the smallest percentage whose speakers have 4 % of the training hours, or 4 h
    where that is less; it is 5 % or 5 h where the rows were not read. A source without texts, or
    with fewer than three speakers (recordings where no speaker is known), stays as it is.
    """
    train = [name for name, split in source.splits.items() if split.role == "train"]
    missing = {
        role: name if name not in source.splits else f"held-out-{name}"
        for role, name in NAMES.items()
        if not source.has_role(role)
    }
    num_keys = len({speech.key for speech in source.train})
    if not source.has_texts or not train or not missing or (source.train and num_keys < _FEWEST):
        return HeldOut(splits=source.splits, hours=source.hours, percents={})
    hours = sum(source.hours[name] for name in train)
    percents = _percents(source.train, hours, list(missing.values()))
    files = tuple(pattern for name in train for pattern in source.splits[name].files)
    others = {name: split for name, split in source.splits.items() if name not in train}
    shares = {
        name: LocalSplit(files=files, role=role, percent=percents[name])
        for role, name in missing.items()
    }
    of_shares = _hours(source.train, percents, hours)
    left = 1 - sum(of_shares.values()) / hours if hours else 1.0
    return HeldOut(
        splits={**others, **shares, **{name: source.splits[name] for name in train}},
        hours={
            **{name: source.hours[name] for name in others},
            **of_shares,
            **{name: source.hours[name] * left for name in train},
        },
        percents=percents,
    )


def _percents(speech: Sequence[Speech], hours: float, names: Sequence[str]) -> dict[str, float]:
    """The percentage of each share, one after the other."""
    if not speech:
        percent = min(_WANTED_PERCENT, 100 * _MOST_HOURS / hours) if hours else _WANTED_PERCENT
        return dict.fromkeys(names, round(percent, 2))
    waiting = sorted(_seconds_by_key(speech).items(), key=lambda one: hash_position(one[0]))
    enough_s = _ENOUGH * sum(seconds for _, seconds in waiting)
    enough_s *= min(_WANTED_PERCENT / 100, _MOST_HOURS / hours if hours else 1.0)
    found: dict[str, float] = {}
    for num_after, name in zip(range(len(names), 0, -1), names, strict=True):
        taken_s = 0.0
        while len(waiting) > num_after and (taken_s == 0 or taken_s < enough_s):
            key, seconds = waiting.pop(0)
            taken_s += seconds
            found[name] = _above(hash_position(key) - sum(found[n] for n in found if n != name))
    return found


def _above(percent: float) -> float:
    """The next hundredth, so that the name at this very position is included."""
    return math.floor(percent * 100 + 1) / 100


def _seconds_by_key(speech: Sequence[Speech]) -> dict[str, float]:
    known = [one.duration_s for one in speech if one.duration_s is not None]
    mean_s = sum(known) / len(known) if known else 1.0
    found: dict[str, float] = {}
    for one in speech:
        seconds = mean_s if one.duration_s is None else one.duration_s
        found[one.key] = found.get(one.key, 0.0) + seconds
    return found


def _hours(
    speech: Sequence[Speech], percents: Mapping[str, float], hours: float
) -> dict[str, float]:
    """The hours that each share gets: of the speech that is known, else by its percentage."""
    if not speech:
        return {name: hours * percent / 100 for name, percent in percents.items()}
    seconds = _seconds_by_key(speech)
    found = dict.fromkeys(percents, 0.0)
    for key, seconds_s in seconds.items():
        split = split_by_hash(key, percents, "")
        if split:
            found[split] += seconds_s
    total_s = sum(seconds.values())
    return {name: hours * part_s / total_s for name, part_s in found.items()}
