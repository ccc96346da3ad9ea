"""The view of a sweep over the thresholds of the filter."""

from collections.abc import Iterator

from flows.commands.terminal.render import Part, View
from flows.state.sweep import Sweep
from flows.tables.sweep import sweep_figures


def sweep_view(sweep: Sweep) -> View:
    """What each threshold keeps and drops, beside the share that the paper kept."""
    data = {"lines": [line.value() for line in sweep.lines], "remarks": sweep.remarks}
    return View(data, _sweep_parts(sweep))


def _sweep_parts(sweep: Sweep) -> Iterator[Part]:
    yield sweep_figures(sweep.lines)
    yield "* the configured threshold; the paper's: its table 10, for all its corpora together"
    yield from sweep.remarks
