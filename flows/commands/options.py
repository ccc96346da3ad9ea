"""The arguments that several commands take, and the run that they name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from configs.schema import RunConfig
from configs.version import installed_version
from flows.server.credentials import load_run
from storage.store import Store


@dataclass
class Given:
    """What a command was called with, for the commands that error messages suggest."""

    config: Path | None = None


def _remember(context: typer.Context, config: Path) -> Path:
    if isinstance(context.obj, Given):
        context.obj.config = config
    return config


Config = Annotated[
    Path,
    typer.Argument(help="A configuration, or a bundled one such as demo.", callback=_remember),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

PREFECT_HOME: Final = Path(".prefect")
"""The folder of the Prefect server that a run starts for itself."""


def open_run(config: Path) -> tuple[RunConfig, Store]:
    """The settings of a configuration, and the store of its root."""
    settings = load_run(config)
    return settings, Store(settings.root, settings.runtime.scratch)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"distillery {installed_version()}")
        raise typer.Exit


def common(
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Turns raw speech corpora into a distilled Whisper."""
