"""Loading of configurations: files, bundled ones, and the runs of grids."""

from pathlib import Path

from configs.bundled import configuration_file
from configs.grid_runs import load_grid, read_base, split_reference
from configs.parse import ConfigError, validated
from configs.schema import RunConfig

__all__ = ["ConfigError", "load_config"]


def load_config(path: str | Path) -> RunConfig:
    """Load and validate a configuration.

    It is a file, the name of a bundled one such as `demo`, or a run of a grid, such as
    `grid.yaml:demo-seed-1`. Raises `ConfigError` if the file is missing, is not YAML, or has
    unknown keys or invalid values; the message names all of them.
    """
    grid, name = split_reference(path)
    if name and not configuration_file(path).exists():
        return load_grid(grid).run(name).settings
    return validated(RunConfig, read_base(path), path)
