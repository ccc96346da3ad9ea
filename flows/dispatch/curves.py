"""The curves of a training in the UI: charts and a table, as a Markdown artifact.

Both of Prefect's UIs show pictures in Markdown whose URL is `data:image/…`; an image artifact would
also print that URL, which is thousands of characters long.
"""

import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from typing import Final

from prefect.runtime import flow_run

from flows.dispatch.artifacts import Shown, optional
from tasks.distil.progress.curves import best_row, loss_chart, periods, score_chart
from tasks.distil.progress.rows import TrainingRow

_REFRESH_S: Final = 60.0
_NUM_LINES: Final = 20


class TrainingCurves:
    """Shows the rows of a training, at most once a minute, after a validation, and at the end.

    Create it inside the flow run that it belongs to.
    """

    def __init__(self) -> None:
        title = "Losses and word error rates of the training"
        self._artifact = Shown("training", title, "markdown", flow_run.id)
        self._rows: Sequence[TrainingRow] = ()
        self._shown_at = -_REFRESH_S

    def follow(self, rows: Sequence[TrainingRow]) -> None:
        """Show the rows if it is time: an `OnRows`."""
        self._rows = rows
        is_validated = bool(rows) and rows[-1].validation is not None
        if is_validated or (rows and time.monotonic() - self._shown_at >= _REFRESH_S):
            self.close()

    def close(self) -> None:
        """Show the rows as they are now."""
        if self._rows:
            self._shown_at = time.monotonic()
            with optional():
                self._artifact.show("\n".join(curves_page(self._rows)))


def curves_page(rows: Sequence[TrainingRow]) -> Iterator[str]:
    """The lines of the page: the best score, the charts, and a table."""
    best = best_row(rows)
    if best is not None:
        yield f"Lowest word error rate: {best.validation:.2f} %, after update {best.step:,}."
        yield ""
    yield picture("losses", loss_chart(rows))
    yield ""
    if best is not None:
        yield picture("word error rates", score_chart(rows))
        yield ""
    has_mse = any(row.mse for row in rows)
    titles = ["update", "loss", "CE", "KL", *(["MSE"] if has_mse else []), "WER %"]
    yield f"| {' | '.join(titles)} |"
    yield "|" + "---:|" * len(titles)
    for row in periods(rows, _NUM_LINES):
        score = "" if row.validation is None else f"{row.validation:.2f}"
        losses = [row.loss, row.ce, row.kl, *([row.mse] if has_mse else [])]
        yield f"| {row.step:,} | {' | '.join(f'{loss:.4f}' for loss in losses)} | {score} |"


def picture(name: str, svg: str) -> str:
    """A picture in Markdown."""
    return f"![{name}](data:image/svg+xml;base64,{b64encode(svg.encode()).decode()})"
