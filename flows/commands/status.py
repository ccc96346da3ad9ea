"""The command `status`: how far each corpus is, what was rejected, and what failed."""

from typing import Annotated

import typer

from flows.commands.options import AsJson, Config, open_run
from flows.commands.terminal.failures import FAILED
from flows.commands.terminal.render import show
from flows.commands.terminal.screen import complain
from flows.commands.views.status import status_view
from flows.commands.views.training import training_view
from flows.state.corpus_state import corpus_states
from flows.state.models import read_training
from flows.state.status import read_status, relisted_advice


def command(
    config: Config,
    as_json: AsJson = False,
    training: Annotated[
        bool, typer.Option("--training", help="Show the losses and error rates of the student.")
    ] = False,
) -> None:
    """Show the shards done, the hours, the rejected rows; exit status 1 when shards failed."""
    settings, store = open_run(config)
    states = corpus_states(settings, store)
    if training:
        show(training_view(read_training(settings, store, states)), as_json=as_json)
        return
    status = read_status(settings, store, states)
    show(status_view(status, str(config)), as_json=as_json)
    if advice := relisted_advice(states):
        complain(advice)
    if status.failures:
        raise typer.Exit(FAILED)
