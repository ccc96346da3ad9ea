"""The view of the report on the models of a run."""

from collections.abc import Iterator

from flows.commands.terminal.render import Part, View
from flows.tables.evaluation.claims import claims_section
from flows.tables.evaluation.coverage import coverage_section
from flows.tables.evaluation.errors import (
    differences_section,
    long_form_section,
    short_form_section,
)
from flows.tables.evaluation.hallucination import hallucination_section
from flows.tables.evaluation.models import models_section
from flows.tables.evaluation.noise import noise_section
from flows.tables.evaluation.speed import speculative_section, speed_section
from tasks.evaluate.result import Report


def report_view(report: Report) -> View:
    """Everything that was measured of the models, and the paper's claims at the end."""
    return View(report, _parts(report))


def summary_parts(report: Report) -> Iterator[Part]:
    """What a run shows of it at its end: errors on single utterances, and the claims."""
    yield from models_section(report)
    yield from short_form_section(report)
    yield from coverage_section(report)
    yield from claims_section(report)


def _parts(report: Report) -> Iterator[Part]:
    yield from models_section(report)
    yield from short_form_section(report)
    yield from long_form_section(report)
    yield from differences_section(report)
    yield from hallucination_section(report)
    yield from noise_section(report)
    yield from speed_section(report)
    yield from speculative_section(report)
    yield from coverage_section(report)
    yield from claims_section(report)
