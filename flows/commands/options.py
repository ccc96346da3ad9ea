"""The arguments that several commands take, and the run that they name."""

from pathlib import Path
from typing import Annotated, Final

import typer

from configs.schema import RunConfig
from flows.server.credentials import load_run
from storage.store import Store

Config = Annotated[Path, typer.Argument(help="A configuration, such as configs/demo.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

PREFECT_HOME: Final = Path(".prefect")
"""The folder of the Prefect server that a run starts for itself."""


def open_run(config: Path) -> tuple[RunConfig, Store]:
    """The settings of a configuration, and the store of its root."""
    settings = load_run(config)
    return settings, Store(settings.root, settings.runtime.scratch)
