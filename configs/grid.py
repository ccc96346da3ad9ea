"""The file of a grid: runs that differ in a few settings of the filter and the training."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator
from pydantic_core import to_jsonable_python

from configs.distil import DEFAULT_WEIGHT
from configs.filter import Filter
from configs.schema import RunConfig
from configs.settings import Name, Settings

SEED: Final = "distil.seed"

_BY_RUN: Final = re.compile(
    r"filter\..+|distil\.corpus_weights\.(?P<weight>.+)|distil\..+"
    r"|corpora\.(?P<corpus>.+?)\.filter\.(?P<key>.+)"
)
_COMMON: Final = re.compile(rf"{_BY_RUN.pattern}|evaluate\..+")

Changes = Mapping[str, Any]
"""Dotted setting, such as `distil.decoder_layers`, to its value."""


class Grid(Settings):
    """Runs that differ in a few settings: all combinations of values, or named ones."""

    base: str
    """The configuration that all runs start from: a path, first from the folder of this file, or a
    bundled one such as `demo`."""
    common: Mapping[str, Any] = {}
    """Settings of all runs, in place of the base's: of `filter`, `distil` or `evaluate`."""
    vary: Mapping[str, Annotated[tuple[Any, ...], Field(min_length=1)]] = {}
    """Setting to its values; every combination is a run. Settings of `filter`, of
    `corpora.X.filter` and of `distil`."""
    runs: Mapping[Name, Mapping[str, Any]] = {}
    """In place of `vary`: the name of each run and its settings."""
    seeds: tuple[int, ...] = ()
    """Each run is repeated with each of these values of `distil.seed`; none: the base's."""

    @model_validator(mode="after")
    def _one_way_to_name_runs(self) -> Self:
        if self.vary and self.runs:
            raise ValueError("vary and runs are given; give one of the two")
        if not (self.vary or self.runs or self.seeds):
            raise ValueError("there is nothing to compare; give vary, runs or seeds")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds are {list(self.seeds)}, expected different numbers")
        return self

    @model_validator(mode="after")
    def _labels_are_shared(self) -> Self:
        for settings, allowed in ((self.common, _COMMON), (self.varied, _BY_RUN)):
            for setting in settings:
                if setting == SEED and self.seeds:
                    raise ValueError(f"seeds and {SEED} are given; give one of the two")
                if not allowed.fullmatch(setting):
                    raise ValueError(
                        f"{setting!r} cannot differ between the runs of a grid, which share their"
                        " labels and held-out speech; expected a setting of filter or distil, such"
                        " as filter.max_wer_percent"
                    )
        return self

    @property
    def varied(self) -> tuple[str, ...]:
        """The settings in which runs differ, without the seed."""
        named = (setting for changes in self.runs.values() for setting in changes)
        return tuple(dict.fromkeys([*self.vary, *named]))

    def changes(self) -> Iterator[tuple[str, Changes]]:
        """The name, or "" where there is none, and the changes of each run, in order."""
        without_seeds: Sequence[tuple[str, Changes]] = tuple(self.runs.items()) or [
            ("", dict(zip(self.vary, values, strict=True)))
            for values in product(*self.vary.values())
        ]
        for label, changes in without_seeds:
            if not self.seeds:
                yield label, changes
            for seed in self.seeds:
                yield label, {**changes, SEED: seed}


def setting_path(setting: str) -> list[str]:
    """The keys that lead to a setting; the name of a corpus may contain dots.

    >>> setting_path("corpora.a.b.filter.unit"), setting_path("distil.corpus_weights.a.b")
    (['corpora', 'a.b', 'filter', 'unit'], ['distil', 'corpus_weights', 'a.b'])
    """
    if (found := _BY_RUN.fullmatch(setting)) and found["corpus"]:
        return ["corpora", found["corpus"], "filter", *found["key"].split(".")]
    if found and found["weight"]:
        return ["distil", "corpus_weights", found["weight"]]
    return setting.split(".")


def setting_value(settings: RunConfig, setting: str) -> Any:
    """The value of a dotted setting as plain JSON; null inside a block that is null.

    Raises `AttributeError` for a setting that there is not.
    """
    value, names = _start(settings, setting_path(setting))
    for name in names:
        if isinstance(value, Mapping):  # the weights of corpora
            value = value.get(name, DEFAULT_WEIGHT)
        elif value is not None:
            value = getattr(value, name)
    return to_jsonable_python(value)


def effective(settings: RunConfig) -> RunConfig:
    """The settings with the filter that each corpus has in the end, and without a name.

    Those of two runs are equal if the runs make the same, whatever the place of a setting.
    """
    corpora = {
        name: corpus.model_copy(update={"filter": settings.filter_of(name)})
        for name, corpus in settings.corpora.items()
    }
    publish = settings.publish.model_copy(update={"name": ""})
    return settings.model_copy(update={"corpora": corpora, "filter": Filter(), "publish": publish})


def short_name(setting: str) -> str:
    """A setting without the block that it is in.

    >>> short_name("distil.seed"), short_name("corpora.ami.filter.unit")
    ('seed', 'ami.filter.unit')
    """
    return setting.partition(".")[2]


def _start(settings: RunConfig, path: Sequence[str]) -> tuple[Any, Sequence[str]]:
    """Where to look a setting up, and the names that lead to it from there."""
    if path[0] == "corpora":
        return settings.filter_of(path[1]), path[3:]
    return settings, path
