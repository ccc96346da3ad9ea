"""The view of the report on teacher and student."""

from collections.abc import Iterator

from flows.commands.render import Figures, Part, View
from flows.commands.views.words import percent_text
from tasks.evaluate.result import Report


def report_view(report: Report) -> View:
    """Teacher and student side by side."""
    return View(report, report_parts(report))


def report_parts(report: Report) -> Iterator[Part]:
    """The table of both models."""
    models = (report.teacher, report.student)
    yield Figures(
        title="Evaluation on held-out speech",
        columns=("", "teacher", "student"),
        rows=[
            ("parameters", *(f"{one.num_parameters:,}" for one in models)),
            ("decoder layers", *(str(one.decoder_layers) for one in models)),
            ("WER %", *(percent_text(one.wer_percent) for one in models)),
            *(
                (f"  {corpus}", *(percent_text(rates[name]) for name in ("teacher", "student")))
                for corpus, rates in report.by_corpus.items()
            ),
            ("insertions %", *(percent_text(one.insertion_percent) for one in models)),
            ("repeated 5-grams", *(str(one.num_repeated_5grams) for one in models)),
            ("seconds", *(f"{one.seconds or 0:.2f}" for one in models)),
            ("relative speed", "1.00", f"{report.relative_speed:.2f}"),
        ],
    )
