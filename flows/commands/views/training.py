"""The view of a student's training: its curves in a few lines, and a table."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Final

from flows.commands.terminal.render import Part, View
from flows.tables.training import training_figures
from tasks.distil.progress.curves import best_row, sparkline
from tasks.distil.progress.rows import TrainingRow

_WIDTH: Final = 60


def training_view(rows: Sequence[TrainingRow]) -> View:
    """The losses and word error rates of a training; as JSON, those of each update."""
    return View([asdict(row) for row in rows], _parts(rows))


def _parts(rows: Sequence[TrainingRow]) -> Iterator[Part]:
    yield training_figures(rows)
    losses = [row.loss for row in rows]
    yield f"loss  {sparkline(losses, _WIDTH)}  {losses[0]:.3f} to {losses[-1]:.3f}"
    scores = [row.validation for row in rows if row.validation is not None]
    if (best := best_row(rows)) is not None:
        yield f"WER   {sparkline(scores, _WIDTH)}  {scores[0]:.2f} to {scores[-1]:.2f} %"
        yield f"Lowest: {best.validation:.2f} % after update {best.step:,}, whose weights are kept."
