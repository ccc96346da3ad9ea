"""The report on a grid: its runs, the same over seeds, and the paper's results beside them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

from configs.grid_runs import LoadedGrid
from storage.errors import IntegrityError
from storage.fingerprint import digest
from storage.record import Record
from storage.store import Store
from tasks.paper.settings import PAPER_TABLES, PaperTable


class GridRow(Record):
    """One run.

    `label` is its name in the file of the grid, "" where all combinations are run, and `values` are
    those of the settings in which the runs differ. `pending` is the first stage that is not done,
    "" for none; with `publish.allow_missing_shards` there may be results all the same. What there
    is not is None. Rates are in percent: `kept_percent` of the labelled hours, `wer_percent` of the
    student, as the mean over evaluated corpora, and `pooled_wer_percent` over all words of all of
    them.
    """

    name: str
    config: str
    label: str = ""
    values: Mapping[str, Any]
    seed: int
    pending: str
    hours: float | None = None
    kept_percent: float | None = None
    num_windows: int | None = None
    num_steps: int | None = None
    best_step: int | None = None
    num_parameters: int | None = None
    relative_speed: float | None = None
    wer_percent: float | None = None
    pooled_wer_percent: float | None = None
    wer_percent_by_corpus: Mapping[str, float | None] = {}
    manifest: str | None = None
    student: str | None = None


class GridGroup(Record):
    """The evaluated runs of the same settings, which differ in their seeds.

    `wer_percent` is their mean. Differences are in percentage points; None where there is nothing
    to compare with.
    """

    label: str
    values: Mapping[str, Any]
    num_runs: int
    num_steps: int | None
    hours: float | None
    kept_percent: float | None
    wer_percent: float | None
    lowest_wer_percent: float | None
    highest_wer_percent: float | None
    above_teacher: float | None
    above_reference: float | None
    is_reference: bool


class PaperLine(Record):
    """A row of a table of the paper, and the mean WER of the grid's runs with that setting."""

    setting: str
    in_domain: float
    out_of_domain: float
    average: float
    more: Mapping[str, int | float]
    here: float | None


class PaperComparison(Record):
    """A table of the paper about a setting in which the runs differ."""

    number: int
    title: str
    setting: str
    lines: tuple[PaperLine, ...]


class GridReport(Record):
    """The results of a grid.

    `settings` are those in which runs differ, `reference` their values in the base. `pending` is
    the first stage to do of what all runs share, "" for none.
    """

    name: str
    base: str
    settings: tuple[str, ...]
    reference: Mapping[str, Any]
    has_seeds: bool
    pending: str
    rows: tuple[GridRow, ...]
    groups: tuple[GridGroup, ...]
    teacher_wer_percent: float | None
    teacher_wer_percent_by_corpus: Mapping[str, float | None]
    paper: tuple[PaperComparison, ...]


def report_on(
    grid: LoadedGrid, pending: str, rows: Sequence[GridRow], teacher: Mapping[str, float | None]
) -> GridReport:
    """The report on the runs of a grid; `teacher` is the teacher's WER in percent by corpus."""
    average = mean_of(teacher.values())
    groups = tuple(_groups(grid, rows, average))
    return GridReport(
        name=grid.name,
        base=grid.base,
        settings=grid.varied,
        reference=grid.reference,
        has_seeds=grid.has_seeds,
        pending=pending,
        rows=tuple(rows),
        groups=groups,
        teacher_wer_percent=average,
        teacher_wer_percent_by_corpus=teacher,
        paper=tuple(_papers(grid, groups)),
    )


def keep_grid(store: Store, report: GridReport) -> str:
    """Store a report under the digest of its content; returns its path below the root."""
    path = f"grids/{report.name}/{digest(report.model_dump(mode='json'))[:16]}.json"
    if not store.put_if_absent(path, report.encode()):
        try:
            GridReport.parse(store.read(path), path)
        except IntegrityError:
            store.delete(path)
            store.put_if_absent(path, report.encode())
    return path


def _groups(
    grid: LoadedGrid, rows: Sequence[GridRow], teacher: float | None
) -> Iterator[GridGroup]:
    by_values: dict[str, list[GridRow]] = {}
    for row in rows:
        by_values.setdefault(_key(row.values), []).append(row)
    rates = {
        key: [row.wer_percent for row in found if row.wer_percent is not None]
        for key, found in by_values.items()
    }
    reference = mean_of(rates.get(_key(grid.reference), ()))
    for key, found in by_values.items():
        average = mean_of(rates[key])
        yield GridGroup(
            label=found[0].label,
            values=found[0].values,
            num_runs=len(rates[key]),
            num_steps=found[0].num_steps,
            hours=found[0].hours,
            kept_percent=found[0].kept_percent,
            wer_percent=average,
            lowest_wer_percent=min(rates[key], default=None),
            highest_wer_percent=max(rates[key], default=None),
            above_teacher=_difference(average, teacher),
            above_reference=_difference(average, reference),
            is_reference=key == _key(grid.reference),
        )


def _papers(grid: LoadedGrid, groups: Sequence[GridGroup]) -> Iterator[PaperComparison]:
    settings = {_key(run.values): run.settings for run in grid.runs}
    for table in PAPER_TABLES:
        if not set(table.varies) & set(grid.varied):
            continue
        here: dict[str, list[float | None]] = {}
        for group in groups:
            if _differs_only_in(table, group.values, grid.reference):
                name = table.row_of(settings[_key(group.values)])
                here.setdefault(name, []).append(group.wer_percent)
        yield PaperComparison(
            number=table.number,
            title=table.title,
            setting=table.setting,
            lines=tuple(
                PaperLine(
                    setting=name,
                    in_domain=row.in_domain,
                    out_of_domain=row.out_of_domain,
                    average=row.average,
                    more=row.more,
                    here=mean_of(here.get(name, ())),
                )
                for name, row in table.rows.items()
            ),
        )


def _differs_only_in(
    table: PaperTable, values: Mapping[str, Any], reference: Mapping[str, Any]
) -> bool:
    differing = {setting for setting, value in values.items() if value != reference[setting]}
    beside = {one for one, needed_by in table.beside.items() if needed_by in differing}
    return differing <= {*table.varies, *beside}


def mean_of(rates: Iterable[float | None]) -> float | None:
    """The mean of the rates that there are; None without any."""
    found = [rate for rate in rates if rate is not None]
    return mean(found) if found else None


def _key(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)


def _difference(rate: float | None, other: float | None) -> float | None:
    return None if rate is None or other is None else rate - other
