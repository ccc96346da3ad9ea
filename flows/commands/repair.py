"""The command `repair`: recreates damaged files."""

from typing import Annotated

import typer

from flows.commands.options import PREFECT_HOME, Config, open_run
from flows.commands.terminal.failures import failures_reported
from flows.commands.terminal.render import say
from flows.commands.terminal.screen import on_screen
from flows.local_repair import repair_locally


def command(
    config: Config,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="Below the root, as in the message about a damaged file."
        ),
    ],
) -> None:
    """Recreate damaged files from what they were made of; a file that is intact is left alone."""
    settings, store = open_run(config)
    store.check()
    for path in paths:
        with failures_reported(config), on_screen():
            outcome = repair_locally(config, settings, store, path, PREFECT_HOME)
        say(outcome)
