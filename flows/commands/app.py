"""The command line: its commands and exit statuses.

Exit status 0: done; 1: some shards failed, or a problem was found; 2: a mistake of the user; 130:
interrupted by Ctrl-C; 143: stopped by SIGTERM.
"""

import os
import sys

import httpx
import typer

from configs.load import ConfigError
from flows.commands import (
    corpora,
    deploy,
    doctor,
    evaluate,
    explain,
    gc,
    grid,
    init,
    manifest,
    repair,
    rerun,
    run,
    schema,
    status,
    student,
    sweep,
    train,
)
from flows.commands.options import MISTAKE, Given, OneLineUsage, common
from flows.commands.pages import browse, compare, report
from flows.commands.terminal.failures import FAILED, report_damage
from flows.commands.terminal.screen import complain
from flows.interruption import handled
from storage.errors import DistilleryError, IntegrityError, UserError
from tasks.allocator import keep_freed_memory

app = typer.Typer(
    name="distillery",
    cls=OneLineUsage,
    help="Turns raw speech corpora into a distilled Whisper.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.callback()(common)
app.command("init")(init.command)
app.command("run")(run.command)
app.command("corpora")(corpora.command)
app.command("doctor")(doctor.command)
app.command("status")(status.command)
app.command("rerun")(rerun.command)
app.command("repair")(repair.command)
app.command("train")(train.command)
app.command("evaluate")(evaluate.command)
app.command("report")(report.command)
app.command("sweep")(sweep.command)
app.command("compare")(compare.command)
app.command("grid")(grid.command)
app.command("explain")(explain.command)
app.command("browse")(browse.command)
app.add_typer(manifest.app, name="manifest")
app.add_typer(student.app, name="student")
app.command("deploy")(deploy.command)
app.command("schema")(schema.command)
app.command("gc")(gc.command)


def main() -> None:
    """Run the command line; an error becomes one line on standard error."""
    # OpenMP threads spin while they wait. Where cores are shared, that alone can make a small
    # model twenty times slower. The variable is read when torch is imported, which is later.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    keep_freed_memory()
    with handled():
        _run()


def _run() -> None:
    given = Given()
    try:
        app(obj=given)
    except (ConfigError, UserError) as error:
        for problem in getattr(error, "problems", (str(error),)):
            complain(problem)
        sys.exit(MISTAKE)
    except IntegrityError as error:
        report_damage(error, given.config)
        sys.exit(FAILED)
    except DistilleryError as error:
        complain(str(error))
        sys.exit(FAILED)
    except (RuntimeError, OSError, httpx.HTTPError) as error:
        complain(f"{type(error).__name__}: {error}; unexpected error, please report it")
        sys.exit(FAILED)
