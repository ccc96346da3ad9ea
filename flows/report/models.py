"""The sections about models: training, error rates, noise, speed, and the paper's claims."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from configs.evaluate import STUDENT, TEACHER
from flows.report.facts import Facts
from flows.report.section import Charts, Claims, Part, Section, Table, Text
from flows.state.models import read_training
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
from flows.tables.figures import Figures
from flows.tables.training import training_figures
from tasks.distil.progress.curves import best_row, loss_chart, score_chart
from tasks.evaluate.findings import CHUNKED, CLEAN, SEQUENTIAL, Interval
from tasks.evaluate.noise.curves import noise_curves, noise_intervals
from tasks.evaluate.result import Report
from tasks.paper.results import CHUNKED_WER_BY_SET, SHORT_WER_BY_SET, SPECULATIVE_SPEED, Pair
from tasks.text.plot.frame import top
from tasks.text.plot.intervals import interval_chart
from tasks.text.plot.lines import line_chart

_PAPERS: Final = {f"paper's {TEACHER}": TEACHER, f"paper's {STUDENT}": STUDENT}
_MOST: Final = 150.0
"""Charts of noise end here, in percent: far above, a rate says only that nothing was understood."""

_EVALUATES: Final = "Nothing is evaluated yet; `distillery evaluate CONFIG` evaluates."


def model_sections(facts: Facts) -> Iterator[Section]:
    """The sections about models; those of an evaluation are one, unless there is one."""
    yield _training(facts)
    if facts.report is None:
        yield Section(id="evaluation", title="Evaluation", missing=_EVALUATES)
        return
    for section in _evaluation(facts.report):
        if section.parts or section.missing:
            yield section


def _training(facts: Facts) -> Section:
    section, title = "training", "Training"
    if facts.student is None:
        trains = "No student is trained yet; `distillery run CONFIG --until distil` trains one."
        return Section(id=section, title=title, missing=trains)
    rows = read_training(facts.config, facts.store, facts.states)
    charts, parts = [loss_chart(rows)], list[Part]()
    if (best := best_row(rows)) is not None:
        charts.append(score_chart(rows))
        parts.append(
            Text(
                f"{rows[-1].step:,} updates. The lowest word error rate on validation speech is"
                f" {best.validation:.2f} %, after update {best.step:,}, whose weights are kept."
            )
        )
    parts += [Charts(charts), Table(training_figures(rows), is_folded=True)]
    return Section(id=section, title=title, parts=parts)


def _evaluation(report: Report) -> Iterator[Section]:
    yield Section(id="claims", title="The paper's claims", parts=tuple(_claims(report)))
    coverage = [line for line in coverage_section(report) if line]
    yield Section(
        id="evaluation",
        title="Errors on held-out speech",
        parts=(
            *_rates(report, CLEAN, SHORT_WER_BY_SET, "WER by set"),
            *_tables(short_form_section(report)),
            *_tables(differences_section(report)),
            *(Text(line.strip()) for line in coverage),
            *_tables(models_section(report)),
        ),
    )
    long_form = [
        *_rates(report, CHUNKED, CHUNKED_WER_BY_SET, "WER of long recordings, chunked"),
        *_rates(report, SEQUENTIAL, {}, "WER of long recordings, sequential"),
    ]
    yield Section(
        id="long-form",
        title="Long recordings",
        parts=(*long_form, *_tables(long_form_section(report))),
        missing="" if long_form else "No long recordings are evaluated; set `evaluate.long_form`.",
    )
    noise = list(_noise(report))
    yield Section(
        id="noise",
        title="Noise",
        parts=noise,
        missing="" if noise else "No speech with noise is evaluated; set `evaluate.noise`.",
    )
    yield Section(
        id="hallucination",
        title="Hallucination",
        parts=tuple(_tables(hallucination_section(report))),
    )
    yield Section(id="speed", title="Speed", parts=tuple(_tables(speed_section(report))))
    speculative = [*_speculative(report), *_tables(speculative_section(report))]
    yield Section(
        id="speculative",
        title="Speculative decoding",
        parts=speculative,
        missing=""
        if speculative
        else "Speculative decoding is not tried; set `evaluate.speculative: true`.",
    )


def _claims(report: Report) -> Iterator[Part]:
    """Those that were tried first, and below them those that were not."""
    tried = [one for one in report.claims if one.verdict != "not_measured"]
    others = [one for one in report.claims if one.verdict == "not_measured"]
    if tried:
        yield Claims(tried)
    if others:
        yield Claims(others, f"{len(others)} claims that were not tried")


def _tables(parts: Iterable[str | Figures], *, are_folded: bool = False) -> Iterator[Part]:
    """The tables of a section, without the lines between them."""
    for part in parts:
        if isinstance(part, Figures):
            yield Table(part, are_folded)


def _rates(report: Report, condition: str, paper: Mapping[str, Pair], title: str) -> Iterator[Part]:
    """The rates of each set with their intervals, and those of the paper for the same set."""
    groups: dict[str, dict[str, tuple[float, Interval | None]]] = {}
    for one in report.sets:
        if one.condition == condition and one.wer_percent is not None:
            groups.setdefault(one.set, {})[one.model] = (one.wer_percent, one.wer_interval)
    for name, group in groups.items():
        if name in paper:
            pair = {TEACHER: paper[name].teacher, STUDENT: paper[name].student}
            group |= {own: (pair[of], None) for own, of in _PAPERS.items()}
    if groups:
        chart = interval_chart(
            groups, "word error rate with its 95 % interval, %", title=title, hollow=_PAPERS
        )
        yield Charts([chart])


def _noise(report: Report) -> Iterator[Part]:
    """A chart for each kind, in which the ratio falls from right to left, and their tables."""
    intervals = noise_intervals(report.averages)
    charts: list[str] = []
    for kind, curves in noise_curves(report.averages).items():
        rates = [rate for curve in curves.values() for rate in curve.values()]
        bands = {
            model: [(float(ratio), low, high) for ratio, (low, high) in of_model.items()]
            for model, of_model in intervals.get(kind, {}).items()
        }
        chart = line_chart(
            {
                model: [(float(ratio), rate) for ratio, rate in curve.items()]
                for model, curve in curves.items()
            },
            "signal-to-noise ratio, dB",
            f"WER with {kind} noise, %",
            min_x=min(ratio for curve in curves.values() for ratio in curve),
            max_y=min(_MOST, top(rates)),
            bands=bands,
        )
        charts.append(chart)
    if charts:
        yield Charts(charts)
        yield from _tables(noise_section(report), are_folded=True)


def _speculative(report: Report) -> Iterator[Part]:
    """The speed by batch size beside the paper's, if there are several sizes."""
    greedy = [one for one in report.speculative if not one.fallback]
    if len(greedy) > 1:
        speeds = [(float(one.batch_size), one.relative_speed) for one in greedy]
        paper = [(float(size), speed) for size, speed in SPECULATIVE_SPEED.items()]
        chart = line_chart(
            {"here": speeds},
            "batch size",
            "relative speed",
            max_y=top(speed for _, speed in [*speeds, *paper]),
            points={"paper": paper},
            bands={"here": [(float(one.batch_size), *one.relative_speed_range) for one in greedy]},
            title="Speed of the teacher with the student as its draft",
        )
        yield Charts([chart])
