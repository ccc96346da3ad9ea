"""How far the runs of a grid are and what came out of them, from receipts and reports alone."""

from collections.abc import Sequence
from typing import Any, Final

from configs.grid_runs import GridRun, LoadedGrid
from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.grid.report import GridReport, GridRow, mean_of, report_on
from flows.state.mending import Repairs
from flows.state.models import find_report, find_student
from flows.state.publication import HolesError, content_of, find_current, training_shards
from flows.state.status import read_status
from storage.store import Store
from tasks.distil.outlook import Outlook
from tasks.stages import CORPUS_STAGES, STAGE_NAMES

LAST_SHARED: Final = CORPUS_STAGES[CORPUS_STAGES.index("filter") - 1]
"""The last stage whose results are those of all runs."""


def read_grid(grid: LoadedGrid, store: Store) -> GridReport:
    """What is done of each run, and what came out of it; nothing is made."""
    teacher: dict[str, float | None] = {}
    rows = [_row(run, store, teacher) for run in grid.runs]
    return report_on(grid, first_pending(grid.settings, store, LAST_SHARED), rows, teacher)


def first_pending(settings: RunConfig, store: Store, until: str = STAGE_NAMES[-1]) -> str:
    """The first stage up to `until` that is not done, or ""."""
    return Repairs(settings, store).reading(
        lambda: _first_pending(settings, store, corpus_states(settings, store), until)
    )


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
    pending = Repairs(settings, store).reading(
        lambda: _first_pending(settings, store, states, STAGE_NAMES[-1])
    )
    found: dict[str, Any] = {
        "num_steps": None if settings.distil.num_epochs else settings.distil.num_steps,
        **_kept(settings, states),
    }
    published = find_current(settings, store, states)
    try:
        student = find_student(settings, store, states, published) if published else None
    except HolesError:
        student = None
    if published is not None:
        found["manifest"] = f"{published.name}/{published.number}"
    if student is not None:
        found["best_step"] = student.recorded.get("best_step")
        found["student"] = student.output.path.rpartition("/")[0]
    if not pending and (report := find_report(settings, store, states, published)) is not None:
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


def _kept(settings: RunConfig, states: Sequence[CorpusState]) -> dict[str, Any]:
    """What the filter keeps, once it has decided on all training speech."""
    by_state = training_shards(states)
    content = content_of(settings, by_state)
    if content.missing_shards or not content.entries:
        return {}
    hours = sum(entry.hours for entry in content.entries)
    shards = [shard for found in by_state.values() for shard in found]
    labelled_hours = sum(shard.receipts["label"].hours for shard in shards)
    return {
        "hours": hours,
        "kept_percent": 100 * hours / labelled_hours if labelled_hours else None,
        "num_windows": content.num_windows,
        "num_steps": Outlook.of_content(settings, content).num_steps,
    }
