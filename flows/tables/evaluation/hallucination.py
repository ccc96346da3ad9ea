"""The section on hallucination: errors by kind, repetitions, and words without speech."""

from collections.abc import Iterator

from flows.tables.figures import Figures
from flows.tables.words import rate_text
from tasks.evaluate.findings import CHUNKED, CLEAN, SEQUENTIAL
from tasks.evaluate.result import Report
from tasks.paper.results import (
    DELETION_RATE,
    INSERTION_RATE,
    REPEATED_5GRAMS,
    SUBSTITUTION_RATE,
)


def hallucination_section(report: Report) -> Iterator[str | Figures]:
    """The measures of the paper's Table 8, and words on windows without speech."""
    rows = [
        (
            one.model,
            condition,
            rate_text(one.insertion_percent),
            rate_text(one.substitution_percent),
            rate_text(one.deletion_percent),
            rate_text(one.cer_percent),
            f"{one.num_repeated_5grams:,.0f}",
        )
        for condition in (CLEAN, CHUNKED, SEQUENTIAL)
        for one in report.averages
        if one.condition == condition and one.domain == "all"
    ]
    if rows:
        yield Figures(
            title="Errors by kind, the mean of all sets in %",
            columns=(
                "model",
                "condition",
                "insert",
                "subst",
                "delete",
                "CER",
                "repeated\n5-grams",
            ),
            rows=rows,
            footer=list(_paper_rows()) if any(row[1] == CHUNKED for row in rows) else (),
            num_keys=2,
        )
    if report.non_speech:
        yield Figures(
            title="Words without speech",
            columns=("model", "on", "windows", "with words", "words", "words\nper hour"),
            rows=[
                (
                    one.model,
                    one.kind,
                    f"{one.num_windows:,}",
                    f"{one.num_windows_with_words:,}",
                    f"{one.num_words:,}",
                    f"{one.num_words / one.hours:,.0f}" if one.hours else "-",
                )
                for one in report.non_speech
            ],
            num_keys=2,
        )


def _paper_rows() -> Iterator[tuple[str, ...]]:
    """The paper's teacher and student, both chunked."""
    rates = [one.of for one in (INSERTION_RATE, SUBSTITUTION_RATE, DELETION_RATE)]
    repeated = REPEATED_5GRAMS.of
    for name, texts, count in (
        ("paper's teacher", [f"{one.teacher:.1f}" for one in rates], repeated.teacher),
        ("paper's student", [f"{one.student:.1f}" for one in rates], repeated.student),
    ):
        yield (name, CHUNKED, *texts, "-", f"{count:,}")
