"""The runs of a grid, each a configuration of its own.

All of them use the data set that the base configuration labels, and each has a manifest of its own.
A run can be named wherever a configuration can: `grid.yaml:demo-seed-1`.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from configs.bundled import bundled_grids, bundled_names, configuration_file, grid_file
from configs.grid import (
    SEED,
    Changes,
    Grid,
    effective,
    setting_path,
    setting_value,
    short_name,
)
from configs.parse import ConfigError, read_mapping, validated
from configs.schema import RunConfig
from configs.settings import merged

_PLAIN: Final = re.compile(r"[A-Za-z0-9.-]+")
_MAX_CHARS: Final = 100  # of a name, which becomes the name of a folder
_DIGEST_CHARS: Final = 8


@dataclass(frozen=True, kw_only=True)
class GridRun:
    """One run of a grid.

    `name` is that of its manifest, and unique in the grid. `config` is what commands take.
    `values` are those of all settings in which the runs of the grid differ, but for the `seed`.
    """

    name: str
    config: str
    label: str
    values: Changes
    seed: int
    settings: RunConfig


@dataclass(frozen=True, kw_only=True)
class LoadedGrid:
    """A grid and its runs.

    `base` is what commands take. `reference` has the values that the settings in which runs differ
    have in the base, with what all runs have in `common`.
    """

    path: str
    base: str
    settings: RunConfig
    varied: tuple[str, ...]
    reference: Changes
    has_seeds: bool
    runs: tuple[GridRun, ...]

    @property
    def name(self) -> str:
        """The name of its file."""
        return Path(self.path).stem

    def run(self, name: str) -> GridRun:
        """The run of a name; raises `ConfigError` with those that there are."""
        for run in self.runs:
            if run.name == name:
                return run
        names = ", ".join(run.name for run in self.runs)
        raise ConfigError(f"{self.path} has no run {name!r}; its runs are {names}")


def load_grid(path: str | Path) -> LoadedGrid:
    """Load a grid, a file or a bundled one such as `demo`, with its base and all of its runs.

    A run is named by what differs from the base; a run that makes the same is the base itself, so
    that nothing is made twice. Raises `ConfigError` for a missing or invalid file, invalid settings
    of a run, and runs that are the same.
    """
    file = grid_file(path)
    found = read_mapping(path, file, kind="grid", expected="base, vary", bundled=bundled_grids())
    grid = validated(Grid, found, path)
    base = _base_of(grid, file)
    values = read_base(base)
    settings = validated(RunConfig, values, base)
    start = _changed(values, grid.common, path)
    reference = validated(RunConfig, start, path)
    runs = [
        _run(grid, str(path), base, settings, label, changes, _changed(start, changes, path))
        for label, changes in grid.changes()
    ]
    _refuse_same(runs, path)
    return LoadedGrid(
        path=str(path),
        base=base,
        settings=settings,
        varied=grid.varied,
        reference={setting: setting_value(reference, setting) for setting in grid.varied},
        has_seeds=bool(grid.seeds),
        runs=tuple(runs),
    )


def read_base(path: str | Path) -> dict[str, Any]:
    """The keys and values of a configuration; raises `ConfigError` if it cannot be read."""
    return read_mapping(
        path,
        configuration_file(path),
        kind="configuration",
        expected="root, corpora",
        bundled=bundled_names(),
    )


def split_reference(config: str | Path) -> tuple[str, str]:
    """The grid and the name of a run of it; for any other configuration the name is "".

    >>> split_reference("grids/demo.yaml:demo-seed-1"), split_reference("demo.yaml")
    (('grids/demo.yaml', 'demo-seed-1'), ('demo.yaml', ''))
    """
    grid, _, name = str(config).rpartition(":")
    return (grid, name) if grid else (name, "")


def config_name(config: str | Path) -> str:
    """A short name of a configuration: that of its file, or of a run of a grid.

    >>> config_name("grids/demo.yaml:demo-fraction-0.5"), config_name("configs/demo.yaml")
    ('demo-fraction-0.5', 'demo')
    """
    path, name = split_reference(config)
    return name or Path(path).stem


def _base_of(grid: Grid, file: Path) -> str:
    beside = Path(os.path.normpath(file.parent / grid.base))
    return str(beside) if beside.is_file() else grid.base


def _refuse_same(runs: Sequence[GridRun], path: str | Path) -> None:
    names = set[str]()
    by_settings: dict[str, str] = {}
    for run in runs:
        if run.name in names:
            raise ConfigError(f"{path}: two runs are both {run.name}; leave one of them out")
        names.add(run.name)
        same = by_settings.setdefault(effective(run.settings).model_dump_json(), run.name)
        if same != run.name:
            raise ConfigError(
                f"{path}: the runs {same} and {run.name} have the same settings in effect; leave"
                " one of them out"
            )


def _changed(values: Mapping[str, Any], changes: Changes, path: str | Path) -> dict[str, Any]:
    result = dict(values)
    for setting, value in changes.items():
        block, *rest = setting_path(setting)
        corpora = values.get("corpora") or {}
        if block == "corpora" and rest[0] not in corpora:
            known = ", ".join(corpora)
            raise ConfigError(f"{path}: {setting}: the base has no corpus {rest[0]!r}, but {known}")
        change: Any = value
        for name in reversed(rest):
            change = {name: change}
        result = merged(result, {block: change})
    return result


def _run(
    grid: Grid,
    path: str,
    base: str,
    before: RunConfig,
    label: str,
    changes: Changes,
    values: Mapping[str, Any],
) -> GridRun:
    told = label or ", ".join(f"{setting}={value}" for setting, value in changes.items())
    settings = validated(RunConfig, values, f"{path}, run {told}")
    is_base = effective(settings) == effective(before)
    if is_base:
        settings, name = before, before.publish.name
    else:
        name = f"{before.publish.name}-{_suffix(grid, before, settings, label)}"
        publish = settings.publish.model_copy(update={"name": name})
        settings = settings.model_copy(update={"publish": publish})
    return GridRun(
        name=name,
        config=base if is_base else f"{path}:{name}",
        label=label,
        values={setting: setting_value(settings, setting) for setting in grid.varied},
        seed=settings.distil.seed,
        settings=settings,
    )


def _suffix(grid: Grid, before: RunConfig, after: RunConfig, label: str) -> str:
    """What follows the name of the base: the name of the run, or what differs.

    The name of a run covers all settings but the seed, and that only where `seeds` has several.
    """
    named = [SEED] if grid.seeds else []
    settings = named if label else dict.fromkeys([*grid.common, *grid.varied, SEED])
    words = [
        f"{short_name(setting)}-{_word(value)}"
        for setting in settings
        if (value := setting_value(after, setting)) != setting_value(before, setting)
    ]
    text = "-".join([label, *words] if label else words)
    return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}-{_digest(text)}"


def _word(value: Any) -> str:
    """A value as part of a name: different words for different values.

    >>> _word(0.5), _word(5.0), _word([0, 3]), _word(None), _word({})
    ('0.5', '5', '0_3', 'null', '44136fa3')
    """
    parts = value if isinstance(value, list) and len(value) > 1 else [value]
    words = [one if isinstance(one, str) else json.dumps(one).removesuffix(".0") for one in parts]
    if all(_PLAIN.fullmatch(word) for word in words):
        return "_".join(words)
    return _digest(json.dumps(value, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARS]
