"""How the commands that process shards report the shards that failed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from flows.commands.screen import complain
from flows.state.rerun import repair_command
from storage.errors import DistilleryError

if TYPE_CHECKING:
    from tasks.run import ShardFailed

FAILED: Final = 1
"""Exit status of a command that did its work with failures, or found a problem."""


@contextmanager
def failures_reported(config: Path) -> Iterator[None]:
    """Print each shard that failed inside with the command that repairs it; then exit status 1."""
    try:
        yield
    except DistilleryError as error:
        if not _print_failures(error, config):
            raise
        raise typer.Exit(FAILED) from error


def _print_failures(error: DistilleryError, config: Path) -> bool:
    """Whether the error names shards that failed; each is printed."""
    failures: Sequence[ShardFailed] = getattr(error, "failures", ())
    for failure in failures:
        complain(f"failed: {failure}")
        complain(f"  again: {repair_command(config, failure.stage, failure.key)}")
    if failures and (consequence := getattr(error, "consequence", None)):
        complain(consequence)
    return bool(failures)
