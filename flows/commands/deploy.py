"""The command `deploy`: registers a configuration with a Prefect server."""

from typing import Annotated

import typer

from configs.load import load_config
from flows.commands.options import Config
from flows.commands.terminal.render import say


def command(
    config: Config,
    cron: Annotated[str, typer.Option(help="When the pipeline runs, in UTC; '' for never.")] = (
        "0 2 * * *"
    ),
    interval_s: Annotated[
        float | None, typer.Option(help="Seconds between two runs, instead of --cron.")
    ] = None,
    notify: Annotated[
        str | None,
        typer.Option(help="A block that is notified of failures, such as slack-webhook/night."),
    ] = None,
) -> None:
    """Register flows, schedule, work pools and automations with the Prefect server."""
    from flows.server.deploy import deploy
    from flows.server.deployments import schedule_of

    settings = load_config(config)
    for name, pool in deploy(config, settings, schedule_of(cron, interval_s), notify):
        say(f"{name} in the pool {pool}")
