"""What the ablations say: paired differences, and how error rates fall with hours."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from configs.evaluate import STUDENT
from configs.grid_runs import LoadedGrid
from flows.state.evaluation.comparison import compare_runs
from flows.state.grid.report import GridReport
from flows.tables.words import change_text, ends_text
from storage.store import Store
from tasks.evaluate.findings import CLEAN
from tasks.evaluate.statistics.comparison import RunDifference
from tasks.text.plot.lines import Point

Effects = Mapping[str, Sequence[RunDifference]]
"""By run, the differences of its student from the first run's: by set, and the mean as None."""

_LEAST_POINTS: Final = 3
_FARTHEST: Final = 10.0
"""How many times the hours that were tried a power law is believed for."""


def effects_of(grid: LoadedGrid, report: GridReport, store: Store) -> Effects:
    """How each run that is done differs from the first, on clean speech."""
    done = {row.name for row in report.rows if not row.pending}
    first, *others = grid.runs
    if first.name not in done:
        return {}
    reference = Path(first.config), first.settings, store
    found: dict[str, Sequence[RunDifference]] = {}
    for run in others:
        if run.name in done:
            rows = compare_runs(reference, (Path(run.config), run.settings, store)).rows
            clean = [one for one in rows if (one.model, one.condition) == (STUDENT, CLEAN)]
            found[run.label] = clean
    return found


def effects_table(effects: Effects) -> tuple[Sequence[str], Iterator[Sequence[str]]]:
    """A row for each run: points of WER above the first run, by set, with intervals."""
    sets = sorted({one.set for rows in effects.values() for one in rows if one.set})
    rows = (
        (label, *(_difference(differences, one) for one in (*sets, None)))
        for label, differences in effects.items()
    )
    return ("run", *sets, "mean"), rows


def _difference(differences: Sequence[RunDifference], of_set: str | None) -> str:
    for one in differences:
        if one.set == of_set:
            return f"{change_text(one.difference)} ({ends_text(one.interval)})"
    return "-"


def points_by_hours(grid: GridReport) -> Mapping[str, Sequence[Point]]:
    """By corpus, hours of training speech and WER of the runs that differ in their hours alone."""
    found = defaultdict[str, list[Point]](list)
    others = [setting for setting in grid.settings if setting != "filter.fraction"]
    for row in grid.rows:
        if all(row.values[one] == grid.reference[one] for one in others):
            for corpus, rate in row.wer_percent_by_corpus.items():
                if row.hours is not None and rate is not None:
                    found[corpus].append((row.hours, rate))
    return {corpus: sorted(points) for corpus, points in found.items()}


def law_of_hours(points: Sequence[Point], teacher: float) -> tuple[float, float] | None:
    """The power law gap = scale * hours ** exponent of the distance to the teacher's WER.

    A least-squares line through the logarithms; None for fewer than three points above the
    teacher's, or if the distance does not fall.

    >>> scale, exponent = law_of_hours([(1, 9.0), (4, 7.0), (16, 6.0)], teacher=5.0)
    >>> round(scale, 3), round(exponent, 3)
    (4.0, -0.5)
    """
    above = [(hours, rate - teacher) for hours, rate in points if rate > teacher]
    if len(above) < _LEAST_POINTS:
        return None
    hours, gaps = np.log(np.array(above)).T
    exponent, intercept = np.polyfit(hours, gaps, 1)
    return (float(np.exp(intercept)), float(exponent)) if exponent < 0 else None


def hours_sentence(points: Sequence[Point], teacher: float | None, within: float = 2.0) -> str:
    """How the distance to the teacher falls, and the hours for one of `within` points."""
    law = None if teacher is None else law_of_hours(points, teacher)
    if law is None:
        return "The distance to the teacher does not fall with hours here, or has too few points."
    scale, exponent = law
    fall = f"Through these points the distance to the teacher falls as hours ^ {exponent:.2f}."
    log_hours = math.log(within / scale) / exponent
    if log_hours > math.log(_FARTHEST * max(hours for hours, _ in points)):
        return (
            f"{fall} That is too slow to say how many hours would bring it to {within:g} points:"
            f" more than {_FARTHEST:g} times those tried."
        )
    return (
        f"{fall} If that went on, {math.exp(log_hours):,.1f} hours would bring it to {within:g}"
        " points with this length of training."
    )
