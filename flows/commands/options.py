"""The arguments that several commands take, the run that they name, and mistakes in them."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from configs.schema import RunConfig
from configs.version import installed_version
from flows.commands.terminal.screen import complain
from flows.server.credentials import load_run
from storage.store import Store


@dataclass
class Given:
    """What a command was called with, for the commands that error messages suggest."""

    config: Path | None = None


def remember(context: typer.Context, config: Path) -> Path:
    """The configuration, which error messages of this command name from now on."""
    if isinstance(context.obj, Given):
        context.obj.config = config
    return config


Config = Annotated[
    Path,
    typer.Argument(help="A configuration, or a bundled one such as demo.", callback=remember),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

MISTAKE: Final = 2
"""Exit status of a wrong command line or configuration."""

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


class OneLineUsage(TyperGroup):
    """The commands, without typer's usage text around an error message."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command that the arguments name, and exit with its status."""
        if not options.get("standalone_mode", True):
            return super().main(*args, **options)
        try:
            result = super().main(*args, **{**options, "standalone_mode": False})
        except Exception as error:
            # some versions of typer raise click's errors, later ones have a copy of them
            if not hasattr(error, "format_message"):
                raise
            if message := error.format_message():  # there is none after the help text
                context = getattr(error, "ctx", None)
                command = context.command_path if context else "distillery"
                complain(f"{message.rstrip('.')}; see `{command} --help`")
            sys.exit(MISTAKE)
        sys.exit(result if isinstance(result, int) else 0)
