"""The view of a student's training: its curves in a few lines, and a table."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Final

from flows.commands.terminal.render import Part, View
from flows.tables.figures import Figures
from tasks.distil.progress.curves import best_row, periods, sparkline
from tasks.distil.progress.rows import TrainingRow

_WIDTH: Final = 60
_NUM_LINES: Final = 20


def training_view(rows: Sequence[TrainingRow]) -> View:
    """The losses and word error rates of a training; as JSON, those of each update."""
    return View([asdict(row) for row in rows], _parts(rows))


def _parts(rows: Sequence[TrainingRow]) -> Iterator[Part]:
    has_mse = any(row.mse for row in rows)
    yield Figures(
        title="Training: mean losses in nats per token, and the word error rate of validations",
        columns=(
            "update",
            "loss",
            "CE",
            "KL",
            *(["MSE"] if has_mse else []),
            "WER %",
            "learning\nrate",
        ),
        rows=[
            (
                f"{row.step:,}",
                f"{row.loss:.4f}",
                f"{row.ce:.4f}",
                f"{row.kl:.4f}",
                *([f"{row.mse:.4f}"] if has_mse else []),
                "" if row.validation is None else f"{row.validation:.2f}",
                f"{row.learning_rate:.1e}",
            )
            for row in periods(rows, _NUM_LINES)
        ],
    )
    losses = [row.loss for row in rows]
    yield f"loss  {sparkline(losses, _WIDTH)}  {losses[0]:.3f} to {losses[-1]:.3f}"
    scores = [row.validation for row in rows if row.validation is not None]
    if (best := best_row(rows)) is not None:
        yield f"WER   {sparkline(scores, _WIDTH)}  {scores[0]:.2f} to {scores[-1]:.2f} %"
        yield f"Lowest: {best.validation:.2f} % after update {best.step:,}, whose weights are kept."
