"""The command `evaluate`: the report on the models of a run, or how it differs from another's."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import PREFECT_HOME, AsJson, Config, open_run
from flows.commands.terminal.failures import failures_reported
from flows.commands.terminal.render import show
from flows.commands.terminal.screen import on_screen
from flows.commands.views.comparison import comparison_view
from flows.commands.views.evaluate import report_view
from flows.local_run import run_locally
from flows.state.evaluation.comparison import compare_runs
from flows.state.summary import current_report


def command(
    config: Config,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="OTHER",
            help="A configuration that is evaluated too: how CONFIG differs from it.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the models on held-out speech, unless that is done, and try the paper's claims."""
    settings, store = open_run(config)
    if compare is not None:
        found = compare_runs((compare, *open_run(compare)), (config, settings, store))
        show(comparison_view(found), as_json=as_json)
        return
    store.check()
    with failures_reported(config), nullcontext() if as_json else on_screen():
        states = run_locally(config, settings, store, "evaluate", PREFECT_HOME)
    show(report_view(current_report(settings, store, states)), as_json=as_json)
