"""The command `gc`: files that no receipt and no manifest names."""

from typing import Annotated

import typer

from flows.commands.options import AsJson, Config, open_run
from flows.commands.terminal.render import show
from flows.commands.views.gc import garbage_view
from flows.state.garbage import find_garbage


def command(
    config: Config,
    grace_hours: Annotated[float, typer.Option(help="Keep files younger than this.")] = 24.0,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete the files instead of only listing them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List files that no receipt and no manifest names, left behind by killed writers."""
    _, store = open_run(config)
    garbage = list(find_garbage(store, grace_hours))
    if delete:
        for file in garbage:
            store.delete(file.path)
    show(garbage_view(garbage, is_deleted=delete), as_json=as_json)
