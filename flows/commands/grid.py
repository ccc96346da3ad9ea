"""The command `grid`: runs that differ in a few settings, and one table of their results."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from configs.grid_runs import LoadedGrid, load_grid
from flows.commands.options import PREFECT_HOME, AsJson, open_run
from flows.commands.terminal.failures import FAILED, failures_reported, print_failures
from flows.commands.terminal.render import show
from flows.commands.terminal.screen import complain, on_screen
from flows.commands.views.grid import grid_view
from flows.local_grid import run_grid_locally
from flows.state.grid.reading import read_grid
from flows.state.grid.report import keep_grid
from storage.errors import DistilleryError
from tasks.stages import STAGE_NAMES, stage_named


def command(
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
    _, store = open_run(Path(loaded.base))
    errors: Mapping[str, Exception] = {}
    if not plan:
        store.check()
        with (
            failures_reported(Path(loaded.base), last),
            nullcontext() if as_json else on_screen(),
        ):
            errors = run_grid_locally(loaded, store, last, PREFECT_HOME)
    report = read_grid(loaded, store)
    if not plan and any(row.wer_percent is not None for row in report.rows):
        keep_grid(store, report)
    show(grid_view(report), as_json=as_json)
    if errors:
        _print_errors(loaded, errors, last)
        raise typer.Exit(FAILED)


def _print_errors(grid: LoadedGrid, errors: Mapping[str, Exception], until: str) -> None:
    for config, error in errors.items():
        if not isinstance(error, DistilleryError):
            complain(f"failed: {config}: {type(error).__name__}: {error}; please report it")
        elif not print_failures(error, Path(config), None):
            complain(f"failed: {config}: {error}")
    words = "" if until == STAGE_NAMES[-1] else f" --until {until}"
    num_failed, num_runs = len(errors), len(grid.runs)
    complain(f"{num_failed} of {num_runs} runs failed; then: distillery grid {grid.path}{words}")
