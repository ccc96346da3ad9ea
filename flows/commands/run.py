"""The command `run`: all stages up to one, with progress; or an estimate of what they would do."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from configs.schema import RunConfig
from flows.commands.options import PREFECT_HOME, Config, open_run
from flows.commands.terminal.failures import continuation, failures_reported
from flows.commands.terminal.render import show
from flows.commands.terminal.screen import complain, on_screen
from flows.commands.views.estimate import estimate_view
from flows.commands.views.run import run_view
from flows.local_run import run_locally
from flows.report.write import write_page
from flows.state.corpus_state import CorpusState
from flows.state.estimate import estimate_anywhere
from flows.state.summary import read_summary
from storage.errors import DistilleryError, UserError
from storage.store import Store
from tasks.distil.outlook import Outlook
from tasks.stages import stage_named


def command(
    config: Config,
    until: Annotated[str, typer.Option(help="The last stage to run.")] = "evaluate",
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what would be done, without doing it.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --plan: print JSON for programs.")
    ] = False,
) -> None:
    """Run all stages, with progress; what is already done is skipped."""
    last = stage_named(until).name
    if plan:
        _print_plan(config, as_json=as_json)
        return
    if as_json:
        raise UserError(
            "--json needs --plan: a run prints its progress; see status --json after it"
        )
    settings, store = open_run(config)
    store.check()
    with failures_reported(config, continuation("run", config, last)), on_screen():
        states = run_locally(config, settings, store, last, PREFECT_HOME)
    summary = read_summary(settings, store, states)
    show(run_view(summary, str(config), _page(str(config), settings, store, states)))


def _page(
    config: str, settings: RunConfig, store: Store, states: Sequence[CorpusState]
) -> str | None:
    """The URL of the page about the run; None, with a line that says why, if there is none."""
    try:
        path, _ = write_page(settings, store, states)
    except DistilleryError as error:
        complain(f"no report is written: {error}; then: distillery report {shlex.quote(config)}")
        return None
    return store.url(path)


def _print_plan(config: Path, *, as_json: bool) -> None:
    settings, store = open_run(config)
    found, problem = estimate_anywhere(settings, store)
    if problem:
        complain(f"{problem}; estimated as if nothing were done")
    training = Outlook.of(
        settings,
        {one.corpus: one.windows for one in found},
        {one.corpus: one.hours for one in found},
    )
    show(estimate_view(found, training), as_json=as_json)
