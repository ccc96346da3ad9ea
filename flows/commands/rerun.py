"""The command `rerun`: one shard of one stage again."""

from typing import Annotated

import typer

from flows.commands.options import PREFECT_HOME, Config, open_run
from flows.commands.terminal.failures import failures_reported
from flows.commands.terminal.render import say
from flows.commands.terminal.screen import on_screen
from flows.local_run import rerun_locally
from tasks.stages import stage_named


def command(
    config: Config,
    stage: Annotated[str, typer.Argument(help="Such as label.")],
    shard: Annotated[str, typer.Argument(help="Such as librispeech/train-clean-100/00007.")],
) -> None:
    """Process one shard again, such as `label librispeech/train-clean-100/00007`."""
    settings, store = open_run(config)
    store.check()
    with failures_reported(config), on_screen():
        rerun_locally(config, settings, stage_named(stage).name, shard, PREFECT_HOME)
    say(f"{stage} {shard}: done")
