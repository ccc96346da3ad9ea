"""The command `report`: one page about a run, which any browser opens."""

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, Config, open_run
from flows.commands.terminal.render import show
from flows.commands.terminal.screen import complain
from flows.commands.views.report import page_view
from flows.report.write import copy_page, write_page
from flows.state.corpus_state import corpus_states
from flows.state.status import relisted_advice


def command(
    config: Config,
    output: Annotated[
        Path | None, typer.Option(help="Also write a copy to this file, such as report.html.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write one page about the run, with its figures and some recordings; prints where it is."""
    settings, store = open_run(config)
    states = corpus_states(settings, store)
    path, is_new = write_page(settings, store, states)
    if output is not None:
        copy_page(store, path, output)
    show(page_view(path, store.url(path), is_new=is_new), as_json=as_json)
    if advice := relisted_advice(states):
        complain(advice)
