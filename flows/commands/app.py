"""The command line. Exit status 0: done; 1: some shards failed; 2: the user's mistake."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer

from configs.load import ConfigError, load_config
from configs.schema import RunConfig
from flows.commands import explain as story
from flows.commands import init, screen
from flows.commands import manifest as manifests
from flows.commands import sweep as thresholds
from flows.commands.options import AsJson, Config, common, open_run
from storage.errors import DistilleryError, UserError
from storage.store import Store
from tasks.stages import stage_named

_FAILED: Final = 1
_MISTAKE: Final = 2
_INTERRUPTED: Final = 130
_PREFECT_HOME: Final = Path(".prefect")

app = typer.Typer(
    name="distillery",
    help="Turns raw speech corpora into a distilled Whisper.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(manifests.app, name="manifest")
app.command("sweep")(thresholds.command)
app.command("explain")(story.command)
app.command("init")(init.command)
app.callback()(common)


@app.command()
def run(
    config: Config,
    until: Annotated[str, typer.Option(help="The last stage to do.")] = "evaluate",
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what would be done; do nothing.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --plan: JSON for programs.")
    ] = False,
) -> None:
    """The whole story, with progress; what is done already is not done again."""
    from flows.commands.local_run import run_locally
    from flows.commands.render import print_summary

    settings, store = open_run(config)
    last = stage_named(until).name
    if plan:
        _tell_plan(settings, store, as_json=as_json)
        return
    store.check()
    with _failures_told(config):
        found = run_locally(config, settings, store, last, _PREFECT_HOME)
    print_summary(settings, store, found)


def _tell_plan(settings: RunConfig, store: Store, *, as_json: bool) -> None:
    from flows.state.estimate import estimate_anywhere, print_estimate, total

    found = estimate_anywhere(settings, store)
    if as_json:
        values = {
            "corpora": [one.model_dump() for one in found],
            "total": total(found).model_dump(),
        }
        typer.echo(json.dumps(values, indent=1))
    else:
        print_estimate(found)


@app.command()
def corpora(as_json: AsJson = False) -> None:
    """The corpora that there are: hours, source, licence, what one must sign or bring."""
    from flows.commands.corpora import print_ledger, read_ledger

    found = read_ledger()
    if as_json:
        typer.echo(json.dumps([entry.model_dump(mode="json") for entry in found], indent=1))
    else:
        print_ledger(found)


@app.command()
def doctor(config: Config, as_json: AsJson = False) -> None:
    """What is missing for a run, and how to get it; exit status 1 when there is a problem."""
    from flows.doctor.examine import examine, print_checks

    checks = examine(load_config(config), str(config))
    if as_json:
        typer.echo(json.dumps([check.model_dump() for check in checks], indent=1))
    else:
        print_checks(checks)
    if any(check.state == "problem" for check in checks):
        raise typer.Exit(_FAILED)


@app.command()
def status(config: Config, as_json: AsJson = False) -> None:
    """Stage by stage: shards done, missing, failed; hours; rows; reasons."""
    from flows.commands.render import print_status
    from flows.state.corpus_state import corpus_states
    from flows.state.status import read_status

    settings, store = open_run(config)
    found = read_status(settings, store, corpus_states(settings, store))
    if as_json:
        typer.echo(found.model_dump_json(indent=1))
    else:
        print_status(found)


@app.command()
def rerun(config: Config, stage: str, shard: str) -> None:
    """One shard again, such as `label librispeech/train-clean-100/00007`."""
    from flows.commands.local_run import rerun_locally

    settings, store = open_run(config)
    store.check()
    with _failures_told(config):
        rerun_locally(config, settings, stage_named(stage).name, shard, _PREFECT_HOME)
    screen.OUT.print(f"{stage} {shard}: done", markup=False)


@app.command()
def evaluate(config: Config, as_json: AsJson = False) -> None:
    """Teacher and student on held-out speech, side by side; measures what is not measured yet."""
    from flows.commands.local_run import run_locally
    from flows.commands.render import current_report, print_report

    settings, store = open_run(config)
    store.check()
    with _failures_told(config):
        found = run_locally(config, settings, store, "evaluate", _PREFECT_HOME, quiet=as_json)
    report = current_report(settings, store, found)
    if as_json:
        typer.echo(report.model_dump_json(indent=1))
    else:
        print_report(report)


@app.command()
def deploy(
    config: Config,
    cron: Annotated[str, typer.Option(help="When the pipeline runs, in UTC; '' for never.")] = (
        "0 2 * * *"
    ),
    interval_s: Annotated[
        float | None, typer.Option(help="Every so many seconds, in place of --cron.")
    ] = None,
    notify: Annotated[
        str | None,
        typer.Option(help="A block that is told of failures, such as slack-webhook/night."),
    ] = None,
) -> None:
    """Register flows, schedule, pools and automations with the Prefect server."""
    from flows.server.deploy import deploy as register
    from flows.server.deployments import schedule_of

    settings = load_config(config)
    for name, pool in register(config, settings, schedule_of(cron, interval_s), notify):
        screen.OUT.print(f"{name} in the pool {pool}", markup=False, highlight=False)


@app.command()
def gc(
    config: Config,
    grace_hours: Annotated[float, typer.Option(help="Younger files stay.")] = 24.0,
    delete: Annotated[bool, typer.Option("--delete", help="Remove them; else only list.")] = False,
) -> None:
    """Files that no receipt and no manifest names, left behind by writers that were killed."""
    from flows.state.garbage import collect

    settings, store = open_run(config)
    collect(settings, store, grace_hours, delete=delete)


@contextmanager
def _failures_told(config: Path) -> Iterator[None]:
    """Name each shard that failed, with the command that makes it again; exit status 1."""
    try:
        yield
    except DistilleryError as error:
        from flows.commands.render import print_failures

        if not print_failures(error, config):
            raise
        raise typer.Exit(_FAILED) from error
    except KeyboardInterrupt as error:
        screen.complain("stopped; run the same command again to go on where it was")
        raise typer.Exit(_INTERRUPTED) from error


def main() -> None:
    """Run the command line; mistakes become one line on standard error."""
    # OpenMP's threads spin while they wait; where a core is shared, that alone can make a small
    # model twenty times as slow. Read when torch is imported, which is later.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        app()
    except (ConfigError, UserError) as error:
        for problem in getattr(error, "problems", (str(error),)):
            screen.complain(problem)
        sys.exit(_MISTAKE)
    except DistilleryError as error:
        screen.complain(str(error))
        sys.exit(_FAILED)
    except (RuntimeError, OSError, httpx.HTTPError) as error:
        screen.complain(f"{type(error).__name__}: {error}; this is nothing that was foreseen")
        sys.exit(_FAILED)
