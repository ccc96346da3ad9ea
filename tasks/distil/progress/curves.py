"""The curves of a training: its losses and scores, thinned for a table, a line of text, a chart."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final, TypeGuard

from tasks.distil.progress.rows import TrainingRow
from tasks.text.plot.lines import line_chart

_MAX_POINTS: Final = 200
_BARS: Final = "▁▂▃▄▅▆▇█"


def periods(rows: Sequence[TrainingRow], max_periods: int) -> list[TrainingRow]:
    """At most `max_periods` rows, each the mean losses since the one before.

    A period ends with a validation, if there are any, or with the last update, and has the score of
    its last update; those in excess are joined with the next.
    """
    ends = [index for index, row in enumerate(rows, start=1) if row.validation is not None]
    if ends and ends[-1] < len(rows):
        ends.append(len(rows))
    return _means(rows, ends if ends else range(1, len(rows) + 1), max_periods)


def is_measured(score: float | None) -> TypeGuard[float]:
    """Whether there is a score."""
    return score is not None and math.isfinite(score)


def best_row(rows: Sequence[TrainingRow]) -> TrainingRow | None:
    """The first row with the lowest score; None without one. NaN is none: nothing was measured."""
    scored = [(row.validation, row) for row in rows if is_measured(row.validation)]
    return min(scored, key=lambda one: one[0], default=(0.0, None))[1]


def loss_chart(rows: Sequence[TrainingRow]) -> str:
    """The losses as SVG, each point the mean over some updates."""
    points = _means(rows, range(1, len(rows) + 1), _MAX_POINTS)
    lines = {
        "loss": [(float(row.step), row.loss) for row in points],
        "CE": [(float(row.step), row.ce) for row in points],
        "KL": [(float(row.step), row.kl) for row in points],
    }
    if any(row.mse for row in points):
        lines["MSE"] = [(float(row.step), row.mse) for row in points]
    return _chart(lines, "loss, nats per token")


def score_chart(rows: Sequence[TrainingRow]) -> str:
    """The word error rates of the validations as SVG."""
    scores = [(float(row.step), row.validation) for row in rows if is_measured(row.validation)]
    return _chart({"WER": scores}, "word error rate, %")


def sparkline(values: Sequence[float], width: int) -> str:
    """Values as bars in a line of text of at most `width` characters, the lowest as the lowest bar.

    >>> sparkline([4.0, 2.0, 1.0, 0.5], 10), sparkline([8.0, 8.0, 1.0, 1.0], 2), sparkline([], 5)
    ('█▄▂▁', '█▁', '')
    """
    values = [value for value in values if math.isfinite(value)]
    bounds = _bounds(range(1, len(values) + 1), width)
    means = [sum(values[start:end]) / (end - start) for start, end in pairwise(bounds)]
    low = min(means, default=0.0)
    span = max(means, default=0.0) - low or 1.0
    top = len(_BARS) - 1
    return "".join(_BARS[int(top * (mean - low) / span)] for mean in means)


def _chart(lines: dict[str, list[tuple[float, float]]], label: str) -> str:
    highest = max((value for points in lines.values() for _, value in points), default=1.0)
    return line_chart(lines, "update", label, max_y=_round_up(highest))


def _round_up(value: float) -> float:
    """The next number of one or two digits whose quarters are round."""
    unit = 1.0
    while value > 10 * unit:
        unit *= 10
    while 0 < value <= unit:
        unit /= 10
    return next(unit * step for step in (2, 4, 6, 8, 10) if value <= unit * step)


def _bounds(ends: Sequence[int], max_periods: int) -> list[int]:
    """0 and at most `max_periods` of the `ends`, evenly spaced, with the last."""
    num = min(len(ends), max_periods)
    return [0, *(ends[len(ends) * (index + 1) // num - 1] for index in range(num))]


def _means(rows: Sequence[TrainingRow], ends: Sequence[int], max_periods: int) -> list[TrainingRow]:
    return [_mean(rows[start:end]) for start, end in pairwise(_bounds(ends, max_periods))]


def _mean(rows: Sequence[TrainingRow]) -> TrainingRow:
    """The last row with the mean losses of all."""
    num = len(rows)
    return replace(
        rows[-1],
        loss=sum(row.loss for row in rows) / num,
        ce=sum(row.ce for row in rows) / num,
        kl=sum(row.kl for row in rows) / num,
        mse=sum(row.mse for row in rows) / num,
    )
