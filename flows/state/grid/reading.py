"""How far the runs of a grid are and what came out of them, from receipts and reports alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from configs.grid_runs import GridRun, LoadedGrid
from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.evaluation.current_report import find_report
from flows.state.grid.report import GridReport, GridRow, mean_of, report_on
from flows.state.mending import Repairs
from flows.state.models import find_student
from flows.state.publication import HolesError, content_of, find_current, training_shards
from flows.state.repair import with_command
from flows.state.status import read_status
from storage.errors import IntegrityError
from storage.manifest import Manifest
from storage.receipt import Receipt
from storage.store import Store
from tasks.distil.outlook import Outlook
from tasks.evaluate.result import Report
from tasks.stages import CORPUS_STAGES, STAGE_NAMES

LAST_SHARED: Final = CORPUS_STAGES[CORPUS_STAGES.index("filter") - 1]
"""The last stage whose results are those of all runs."""


def read_grid(grid: LoadedGrid, store: Store, *, mends: bool) -> GridReport:
    """What is done of each run, and what came out of it; nothing is made.

    With `mends`, a damaged record counts as not made from now on. Without, nothing is changed, and
    `IntegrityError` has the command that repairs it.
    """
    teacher: dict[str, float | None] = {}
    with _repair_named(grid.base):
        shared = first_pending(grid.settings, store, LAST_SHARED, mends=mends)
    rows = list[GridRow]()
    for run in grid.runs:
        with _repair_named(run.config):
            read = partial(_row, run, store, teacher)
            rows.append(Repairs(run.settings, store).reading(read) if mends else read())
    return report_on(grid, shared, rows, teacher)


def first_pending(
    settings: RunConfig, store: Store, until: str = STAGE_NAMES[-1], *, mends: bool = True
) -> str:
    """The first stage up to `until` that is not done, or ""; `mends` as in `read_grid`."""

    def read() -> str:
        return _first_pending(settings, store, corpus_states(settings, store), until)

    return Repairs(settings, store).reading(read) if mends else read()


@contextmanager
def _repair_named(config: str) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise with_command(config, error) from error


def _first_pending(
    settings: RunConfig, store: Store, states: Sequence[CorpusState], until: str
) -> str:
    wanted = STAGE_NAMES[: STAGE_NAMES.index(until) + 1]
    for line in read_status(settings, store, states).stages:
        if line.stage in wanted and (line.shards.missing or line.shards.failed):
            return line.stage
    if until != STAGE_NAMES[-1]:
        return ""
    published = find_current(settings, store, states)
    return "" if find_report(settings, store, states, published) else until


def _row(run: GridRun, store: Store, teacher: dict[str, float | None]) -> GridRow:
    """The row of a run; adds the WER of the teacher by corpus to `teacher`."""
    settings = run.settings
    states = corpus_states(settings, store)
    pending = _first_pending(settings, store, states, STAGE_NAMES[-1])
    published = find_current(settings, store, states)
    found: dict[str, Any] = {
        "num_steps": None if settings.distil.num_epochs else settings.distil.num_steps,
        **_kept(settings, states, is_published=published is not None),
    }
    student, report = _results(settings, store, states, published)
    if published is not None:
        found["manifest"] = f"{published.name}/{published.number}"
    if student is not None:
        found["best_step"] = student.recorded.get("best_step")
        found["student"] = student.output.path.rpartition("/")[0]
    if report is not None:
        by_corpus = {name: rates.get("student") for name, rates in report.by_corpus.items()}
        teacher.update({name: rates.get("teacher") for name, rates in report.by_corpus.items()})
        found |= {
            "wer_percent": mean_of(by_corpus.values()),
            "pooled_wer_percent": report.student.wer_percent,
            "wer_percent_by_corpus": by_corpus,
            "num_parameters": report.student.num_parameters,
            "relative_speed": report.relative_speed,
        }
    return GridRow(
        name=run.name,
        config=run.config,
        label=run.label,
        values=run.values,
        seed=run.seed,
        pending=pending,
        **found,
    )


def _results(
    settings: RunConfig, store: Store, states: Sequence[CorpusState], published: Manifest | None
) -> tuple[Receipt | None, Report | None]:
    """The student of a manifest and the report on it, though training shards may be missing."""
    student = None
    try:
        student = find_student(settings, store, states, published) if published else None
        return student, find_report(settings, store, states, published)
    except HolesError:  # held-out speech is missing
        return student, None


def _kept(
    settings: RunConfig, states: Sequence[CorpusState], *, is_published: bool
) -> dict[str, Any]:
    """What the filter keeps, once it has decided on all training speech or the rest is missing."""
    by_state = training_shards(states)
    content = content_of(settings, by_state)
    if not content.entries or (content.missing_shards and not is_published):
        return {}
    hours = sum(entry.hours for entry in content.entries)
    shards = [shard for found in by_state.values() for shard in found if shard.is_complete]
    labelled_hours = sum(shard.receipts["label"].hours for shard in shards)
    return {
        "hours": hours,
        "kept_percent": 100 * hours / labelled_hours if labelled_hours else None,
        "num_windows": content.num_windows,
        "num_steps": Outlook.of_content(settings, content).num_steps,
    }
