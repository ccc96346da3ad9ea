"""How commands report shards that failed and files that are damaged, with what repairs each."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from flows.commands.terminal.screen import complain
from flows.state.mending import recorded_repairs
from flows.state.repair import again_command, with_command
from storage.errors import DistilleryError, IntegrityError
from tasks.stages import STAGE_NAMES

if TYPE_CHECKING:
    from tasks.run import ShardFailed

FAILED: Final = 1
"""Exit status of a command that did its work with failures, or found a problem."""


@contextmanager
def failures_reported(config: Path, then: str = "") -> Iterator[None]:
    """Print each shard that failed inside with the command that repairs it; then exit status 1.

    `then` is the command that goes on after that. Damaged files that the run has repaired are named
    in one line.
    """
    with recorded_repairs() as mended:
        try:
            yield
        except DistilleryError as error:
            if mended:
                complain(f"damaged, and not all made again: {', '.join(mended)}")
            if not print_failures(error, config, then):
                raise
            raise typer.Exit(FAILED) from error
        if mended:
            complain(f"repaired {len(mended)} damaged: {', '.join(mended)}")


def report_damage(error: IntegrityError, config: Path | None) -> None:
    """Print which stored file is damaged, and the command that recreates it."""
    complain(str(error if config is None else with_command(config, error)))


def continuation(command: str, file: str | Path, until: str) -> str:
    """The command that continues a run or a grid up to the stage `until`.

    >>> continuation("run", "my run.yaml", "label"), continuation("grid", "demo", "evaluate")
    ("distillery run 'my run.yaml' --until label", 'distillery grid demo')
    """
    words = "" if until == STAGE_NAMES[-1] else f" --until {until}"
    return f"distillery {command} {shlex.quote(str(file))}{words}"


def print_failures(error: DistilleryError, config: Path, then: str = "") -> bool:
    """Whether the error names shards that failed; each is printed, with what repairs it.

    `then` is the command that goes on after that; "": none is printed.
    """
    failures: Sequence[ShardFailed] = getattr(error, "failures", ())
    for failure in failures:
        complain(f"failed: {failure}")
        complain(f"  again: {again_command(config, failure)}")
    if failures and (consequence := getattr(error, "consequence", None)):
        complain(consequence)
    if failures and then:
        complain(f"  then: {then}")
    return bool(failures)
