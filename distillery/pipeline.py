"""A run of the pipeline, as the command `distillery run` starts it."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from storage.manifest import Manifest
    from tasks.evaluate.result import Report

PREFECT_HOME: Final = Path(".prefect")
"""Where a Prefect server of the run's own keeps its state, in the working directory."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What exists once a run is done; None for what lies beyond its last stage."""

    manifest: "Manifest | None"
    """The published manifest of the shards as they are now."""

    student: str | None
    """The folder of the student's weights in Hugging Face format: a path or a URL."""

    report: "Report | None"
    """Teacher and student measured on the same held-out speech."""


def run(
    config: str | Path,
    *,
    until: str = "evaluate",
    progress: bool = False,
) -> RunResult:
    """Do everything that is pending up to and including the stage `until`.

    What has a receipt is not done again, so a run that was interrupted continues. The flows report
    to the Prefect server that `PREFECT_API_URL` names; without it, one on loopback is started for
    the time of the run. Relative paths in the configuration start from the working directory.

    Args:
        config: the path of a configuration, or the name of a bundled one such as `demo`.
        until: a stage: `download`, `plan`, `normalise`, `label`, `score`, `index`, `filter`,
            `publish`, `distil` or `evaluate`.
        progress: whether to draw progress bars on the terminal.

    Raises:
        ConfigError: the configuration is not valid.
        UserError: the stage does not exist, the root cannot be written to, or the run is known to
            fail, for example because a corpus is not where the configuration says.
        DistilleryError: shards failed; the message names each, with the command to make it again.
    """
    from flows.commands.terminal.screen import on_screen
    from flows.local_run import run_locally
    from flows.server.credentials import load_run
    from flows.state.evaluation.current_report import find_report
    from flows.state.models import find_student
    from flows.state.publication import find_current
    from storage.store import Store
    from tasks.stages import STAGE_NAMES, stage_named

    stage = stage_named(until).name
    path = Path(config)
    settings = load_run(path)
    store = Store(settings.root, settings.runtime.scratch)
    store.check()
    with on_screen() if progress else nullcontext():
        states = run_locally(path, settings, store, stage, PREFECT_HOME)
    manifest = find_current(settings, store, states)
    if manifest is None or STAGE_NAMES.index(stage) < STAGE_NAMES.index("distil"):
        return RunResult(manifest=manifest, report=None, student=None)
    trained = find_student(settings, store, states, manifest)
    folder = None if trained is None else trained.output.path.rpartition("/")[0]
    return RunResult(
        manifest=manifest,
        student=None if folder is None else f"{settings.root}/{folder}",
        report=find_report(settings, store, states, manifest) if stage == "evaluate" else None,
    )
