"""The section on noise: a table and a plot for each kind (Figure 2 of the paper)."""

from collections.abc import Iterator

from flows.tables.figures import Figures
from flows.tables.words import rate_text
from tasks.evaluate.noise.curves import noise_curves
from tasks.evaluate.result import Report
from tasks.text.character_plot import character_plot


def noise_section(report: Report) -> Iterator[str | Figures]:
    """The mean WER of all sets by signal-to-noise ratio, a column for each model."""
    for kind, curves in noise_curves(report.averages).items():
        ratios = sorted({ratio for curve in curves.values() for ratio in curve}, reverse=True)
        yield Figures(
            title=f"With {kind} noise: WER %",
            columns=("SNR dB", *curves),
            rows=[
                (str(ratio), *(rate_text(curve.get(ratio)) for curve in curves.values()))
                for ratio in ratios
            ],
        )
        if len(ratios) > 1:
            yield ""
            yield from character_plot(curves, x_label="SNR dB", y_label="WER %")
