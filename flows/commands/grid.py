"""The command `grid`: runs that differ in a few settings, and one table of their results."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from configs.grid_runs import load_grid
from flows.commands.options import PREFECT_HOME, AsJson, open_run, remember
from flows.commands.terminal.failures import (
    FAILED,
    continuation,
    failures_reported,
    print_failures,
)
from flows.commands.terminal.render import show
from flows.commands.terminal.screen import complain, on_screen
from flows.commands.views.grid import grid_view
from flows.local_grid import run_grid_locally
from flows.state.grid.reading import read_grid
from flows.state.grid.report import keep_grid
from flows.state.repair import with_command
from storage.errors import DistilleryError, IntegrityError
from tasks.stages import STAGE_NAMES, stage_named


def command(
    context: typer.Context,
    grid: Annotated[Path, typer.Argument(help="The file of a grid, or a bundled one: demo.")],
    until: Annotated[str, typer.Option(help="The last stage of each run.")] = STAGE_NAMES[-1],
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what is done and what is not, and do nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run variations of a configuration on the same labels, and compare their students."""
    last = stage_named(until).name
    loaded = load_grid(grid)
    base = remember(context, Path(loaded.base))
    _, store = open_run(base)
    if plan:
        show(grid_view(read_grid(loaded, store, mends=False)), as_json=as_json)
        return
    store.check()
    then = continuation("grid", loaded.path, last)
    with failures_reported(base, then):
        with nullcontext() if as_json else on_screen():
            errors = run_grid_locally(loaded, store, last, PREFECT_HOME)
        report = read_grid(loaded, store, mends=True)
    if any(row.wer_percent is not None for row in report.rows):
        keep_grid(store, report)
    show(grid_view(report), as_json=as_json)
    if errors:
        print_errors(errors)
        complain(f"{len(errors)} of {len(loaded.runs)} runs failed; then: {then}")
        raise typer.Exit(FAILED)


def print_errors(errors: Mapping[str, Exception]) -> None:
    """Print why runs failed, by the configuration that commands take, with what repairs each."""
    for config, error in errors.items():
        if isinstance(error, IntegrityError):
            complain(f"failed: {config}: {with_command(config, error)}")
        elif not isinstance(error, DistilleryError):
            complain(f"failed: {config}: {type(error).__name__}: {error}; please report it")
        elif not print_failures(error, Path(config)):
            complain(f"failed: {config}: {error}")
