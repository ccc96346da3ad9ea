"""The view of a sweep over the thresholds of the filter."""

from collections.abc import Iterator

from flows.commands.terminal.render import Part, View
from flows.state.sweep import Sweep, SweepLine
from flows.tables.figures import Figures


def sweep_view(sweep: Sweep) -> View:
    """What each threshold keeps and drops, beside the share that the paper kept."""
    data = {"lines": [line.value() for line in sweep.lines], "remarks": sweep.remarks}
    return View(data, _sweep_parts(sweep))


def _sweep_parts(sweep: Sweep) -> Iterator[Part]:
    lines = sweep.lines
    names = [line.corpus for line in lines]
    yield Figures(
        title="Windows and hours kept with each threshold",
        columns=(
            "corpus", "WER %\nat most", "windows\nkept", "dropped", "hours\nkept", "dropped",
            "kept %", "paper's\n%",
        ),
        rows=[
            ("" if line.corpus == before else line.corpus, *_figures(line))
            for line, before in zip(lines, ["", *names], strict=False)
        ],
    )  # fmt: skip
    yield "* the configured threshold; the paper's: its table 10, for all its corpora together"
    yield from sweep.remarks


def _figures(line: SweepLine) -> Iterator[str]:
    yield f"{line.max_wer_percent:g}{' *' if line.is_configured else '  '}"
    yield from (f"{line.kept.windows:,}", f"{line.dropped.windows:,}")
    yield from (f"{line.kept.hours:,.2f}", f"{line.dropped.hours:,.2f}")
    for percent in (line.kept_percent, line.paper_kept_percent):
        yield "-" if percent is None else f"{percent:.1f}"
