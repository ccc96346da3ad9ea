"""The command `evaluate`: the report on teacher and student."""

from contextlib import nullcontext

from flows.commands.options import PREFECT_HOME, AsJson, Config, open_run
from flows.commands.terminal.failures import failures_reported
from flows.commands.terminal.render import show
from flows.commands.terminal.screen import on_screen
from flows.commands.views.evaluate import report_view
from flows.local_run import run_locally
from flows.state.summary import current_report


def command(config: Config, as_json: AsJson = False) -> None:
    """Compare teacher and student on held-out speech; evaluates what is not evaluated yet."""
    settings, store = open_run(config)
    store.check()
    with failures_reported(config), nullcontext() if as_json else on_screen():
        states = run_locally(config, settings, store, "evaluate", PREFECT_HOME)
    show(report_view(current_report(settings, store, states)), as_json=as_json)
