"""The paper's claims in the UI, with the curves of speech with noise, as a Markdown artifact."""

import math
from collections.abc import Iterator
from typing import Final

from prefect.artifacts import create_markdown_artifact

from flows.dispatch.artifacts import artifact_key, optional
from flows.dispatch.curves import picture
from flows.dispatch.tables import claim_rows, markdown_table
from tasks.evaluate.noise.curves import noise_curves
from tasks.evaluate.result import Report
from tasks.text.plot.lines import line_chart

_STEP: Final = 20
"""The vertical axis of a chart ends at a multiple of it, in percent."""


def show_claims(report: Report) -> None:
    """Show the claims of a report as an artifact of the flow run; nothing if it has none."""
    if report.claims:
        with optional():
            create_markdown_artifact(
                "\n\n".join(claims_page(report)), artifact_key("claims"), "The paper's claims"
            )


def claims_page(report: Report) -> Iterator[str]:
    """The paragraphs of the page: the table, and a chart for each kind of noise."""
    yield markdown_table(claim_rows(report))
    for kind, curves in noise_curves(report.averages).items():
        top = max(rate for curve in curves.values() for rate in curve.values())
        chart = line_chart(
            {model: list(curve.items()) for model, curve in curves.items()},
            "signal-to-noise ratio in dB",
            f"WER % with {kind} noise",
            min_x=min(ratio for curve in curves.values() for ratio in curve),
            max_y=max(_STEP, _STEP * math.ceil(top / _STEP)),
        )
        yield picture(f"{kind} noise", chart)
