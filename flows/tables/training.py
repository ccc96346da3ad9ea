"""The table of a training."""

from collections.abc import Sequence
from typing import Final

from flows.tables.figures import Figures
from tasks.distil.progress.curves import periods
from tasks.distil.progress.rows import TrainingRow

_NUM_LINES: Final = 20


def training_figures(rows: Sequence[TrainingRow]) -> Figures:
    """Mean losses, and the word error rates of validations, in at most twenty periods."""
    has_mse = any(row.mse for row in rows)
    return Figures(
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
