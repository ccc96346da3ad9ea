"""The view of the report on teacher and student."""

from collections.abc import Iterator, Mapping

from flows.commands.terminal.render import Figures, Part, View
from flows.commands.views.words import percent_text, reason_lines
from tasks.evaluate.coverage import Coverage
from tasks.evaluate.result import Report


def report_view(report: Report) -> View:
    """Teacher and student side by side."""
    return View(report, report_parts(report))


def report_parts(report: Report) -> Iterator[Part]:
    """The table of both models; beside each WER, how many utterances it is of; why not of more."""
    models = (report.teacher, report.student)
    yield Figures(
        title="Evaluation on held-out speech",
        columns=("", "teacher", "student", "utterances"),
        rows=[
            ("parameters", *(f"{one.num_parameters:,}" for one in models), ""),
            ("decoder layers", *(str(one.decoder_layers) for one in models), ""),
            (
                "WER %",
                *(percent_text(one.wer_percent) for one in models),
                _coverage_text(report.coverage),
            ),
            *_by_corpus(report),
            ("insertions %", *(percent_text(one.insertion_percent) for one in models), ""),
            ("repeated 5-grams", *(f"{one.num_repeated_5grams:,}" for one in models), ""),
            ("seconds", *(f"{one.seconds or 0:.2f}" for one in models), ""),
            ("relative speed", "1.00", f"{report.relative_speed:.2f}", ""),
        ],
    )
    if report.coverage.excluded:
        yield "Not evaluated:"
        yield from reason_lines(
            {corpus: one.excluded for corpus, one in report.coverage_by_corpus.items()}
        )


def _by_corpus(report: Report) -> Iterator[tuple[str, ...]]:
    """A row for each corpus, for each split of a corpus that has several, and for their mean."""
    for corpus, coverage in report.coverage_by_corpus.items():
        rates = report.by_corpus.get(corpus, {})
        yield (f"  {corpus}", *_rate_texts(rates), _coverage_text(coverage))
        splits = [name for name in report.by_split if name.startswith(f"{corpus}/")]
        for split in splits if len(splits) > 1 else ():
            name = split.removeprefix(f"{corpus}/")
            yield (f"    {name}", *_rate_texts(report.by_split[split]), "")
    if len(report.by_split) > 1:
        mean = _rate_texts(report.mean_wer_percent)
        yield (f"mean WER % of {len(report.by_split)} splits", *mean, "")


def _rate_texts(rates: Mapping[str, float | None]) -> Iterator[str]:
    return (percent_text(rates.get(name)) for name in ("teacher", "student"))


def _coverage_text(coverage: Coverage) -> str:
    return f"{coverage.num_utterances:,} of {coverage.num_annotated:,}"
