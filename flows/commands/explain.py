"""The command `explain`: the history of one utterance, or all rows rejected for one reason."""

from typing import Annotated

import typer

from flows.commands.options import AsJson, Config, open_run
from flows.commands.terminal.render import show
from flows.commands.views.explain import history_view, rejections_view
from flows.state.rejections import read_rejections
from flows.state.utterance_history import read_history
from storage.errors import UserError


def command(
    config: Config,
    id: Annotated[
        str | None, typer.Argument(help="Of an utterance or a window; or use --reason.")
    ] = None,
    reason: Annotated[
        str | None, typer.Option(help="List the rows rejected for a reason, such as wer.")
    ] = None,
    corpus: Annotated[str | None, typer.Option(help="With --reason: of one corpus.")] = None,
    limit: Annotated[int, typer.Option(help="With --reason: print at most so many rows.")] = 20,
    split: Annotated[
        str | None, typer.Option(help="Where several splits have the id: corpus/split.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what each stage did with an utterance; or list the rows rejected for a reason."""
    if (id is None) == (reason is None):
        raise UserError("give the id of an utterance, or --reason with one that `status` counts")
    if reason is not None:
        rejections = list(read_rejections(*open_run(config), reason, corpus))
        show(rejections_view(rejections, limit), as_json=as_json)
    else:
        show(history_view(read_history(*open_run(config), str(id), split)), as_json=as_json)
