"""The section on what was not evaluated."""

from collections.abc import Iterator

from flows.tables.words import reason_lines
from tasks.evaluate.result import Report


def coverage_section(report: Report) -> Iterator[str]:
    """How many of the annotated utterances were evaluated, and why not the others."""
    coverage = report.coverage
    yield ""
    yield f"Evaluated: {coverage.num_utterances:,} of {coverage.num_annotated:,} utterances"
    if coverage.excluded:
        yield "Not evaluated:"
        yield from reason_lines(
            {corpus: one.excluded for corpus, one in report.coverage_by_corpus.items()}
        )
