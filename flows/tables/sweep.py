"""The table of a sweep over the thresholds of the filter."""

from collections.abc import Iterator, Sequence

from flows.state.sweep import SweepLine
from flows.tables.figures import Figures


def sweep_figures(lines: Sequence[SweepLine]) -> Figures:
    """What each threshold keeps and drops, beside the share that the paper kept."""
    names = [line.corpus for line in lines]
    return Figures(
        title="Windows and hours kept with each threshold",
        columns=(
            "corpus", "WER %\nat most", "windows\nkept", "dropped", "hours\nkept", "dropped",
            "kept %", "paper's\n%",
        ),
        rows=[
            ("" if line.corpus == before else line.corpus, *sweep_cells(line))
            for line, before in zip(lines, ["", *names], strict=False)
        ],
    )  # fmt: skip


def sweep_cells(line: SweepLine) -> Iterator[str]:
    """The cells of a row after its corpus."""
    yield f"{line.max_wer_percent:g}{' *' if line.is_configured else '  '}"
    yield from (f"{line.kept.windows:,}", f"{line.dropped.windows:,}")
    yield from (f"{line.kept.hours:,.2f}", f"{line.dropped.hours:,.2f}")
    for percent in (line.kept_percent, line.paper_kept_percent):
        yield "-" if percent is None else f"{percent:.1f}"
