"""The section on the measured models."""

from collections.abc import Iterator

from flows.tables.figures import Figures
from tasks.evaluate.findings import ModelFacts
from tasks.evaluate.result import Report


def models_section(report: Report) -> Iterator[str | Figures]:
    """A row for each model: its size, and whether it encodes speech with the teacher."""
    if report.models:
        yield Figures(
            title="Models",
            columns=("model", "parameters", "MB", "encoder\nlayers", "decoder\nlayers", "encoder"),
            rows=[_row(one) for one in report.models],
        )


def _row(model: ModelFacts) -> tuple[str, ...]:
    return (
        model.name,
        f"{model.num_parameters:,}",
        f"{model.num_mb:,.1f}",
        _count_text(model.encoder_layers),
        _count_text(model.decoder_layers),
        "shared" if model.shares_encoder else "own",
    )


def _count_text(count: int | None) -> str:
    return "-" if count is None else str(count)
