"""The command `doctor`: what would stop a run, and what to do about it."""

import typer

from configs.load import load_config
from flows.commands.options import AsJson, Config
from flows.commands.terminal.failures import FAILED
from flows.commands.terminal.render import show
from flows.commands.views.doctor import checks_view
from flows.doctor.examine import examine


def command(config: Config, as_json: AsJson = False) -> None:
    """Check what a run needs and say how to get it; exit status 1 when there is a problem."""
    checks = examine(load_config(config), str(config))
    show(checks_view(checks), as_json=as_json)
    if any(check.state == "problem" for check in checks):
        raise typer.Exit(FAILED)
