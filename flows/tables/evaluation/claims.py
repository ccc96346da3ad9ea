"""The section on the paper's claims."""

from collections.abc import Iterator

from flows.tables.figures import Figures
from tasks.evaluate.result import Report


def claims_section(report: Report) -> Iterator[str | Figures]:
    """A row for each claim, and below the table how each verdict was reached."""
    if not report.claims:
        return
    yield Figures(
        title="The paper's claims",
        columns=("claim", "paper", "here", "verdict"),
        rows=[
            (one.claim, one.paper, one.ours, one.verdict.replace("_", " ")) for one in report.claims
        ],
    )
    yield ""
    for one in report.claims:
        yield f"{one.claim} ({one.source}): {one.reason}"
