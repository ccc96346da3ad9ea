"""The view of what a run resulted in."""

from collections.abc import Iterator

from flows.commands.terminal.render import Fact, Part, View
from flows.commands.views.evaluate import summary_parts
from flows.commands.views.in_short import in_short_parts
from flows.commands.views.manifest import manifest_parts
from flows.commands.views.status import status_parts
from flows.state.summary import RunSummary


def run_view(summary: RunSummary, config: str, page: str | None) -> View:
    """The manifest, the report on both models and the ten lines that matter; or the status.

    `page` is the URL of the page about the run, if there is one.
    """
    return View(summary, _run_parts(summary, config, page))


def _run_parts(summary: RunSummary, config: str, page: str | None) -> Iterator[Part]:
    if summary.status is not None:
        yield from status_parts(summary.status, config)
    if summary.published is not None:
        yield from manifest_parts(summary.published)
    yield from summary.remarks
    if summary.report is not None:
        yield from summary_parts(summary.report)
    yield from in_short_parts(summary, config)
    if page is not None:
        yield Fact("all of it", page)
