"""The sections about data: hours, rejected rows, error rates, thresholds, and what to listen to."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from flows.report.facts import Facts
from flows.report.section import Charts, Listening, Part, Section, Slider, Table, Text
from flows.state.sweep import ALL, Sweep, SweepLine, read_sweep
from flows.state.utterances.samples import Sample, read_samples
from flows.tables.figures import Figures
from flows.tables.sweep import sweep_cells, sweep_figures
from flows.tables.words import hours_text
from storage.errors import UserError
from tasks.audio import decode
from tasks.audio.mp3 import encode_mp3
from tasks.paper.settings import PAPER_FILTERED_PERCENT, THRESHOLDS
from tasks.stages import CORPUS_STAGES
from tasks.text.plot.bars import bar_chart, histogram
from tasks.text.plot.lines import line_chart

_BIN: Final = 2
_LAST_BIN: Final = 50
SWEPT: Final = (*map(float, range(_LAST_BIN + 1)), 60.0, 70.0, 80.0, 90.0, 100.0)
"""The thresholds of the slider, in percent; those of the configuration are added."""

_SCORES: Final = "`distillery run CONFIG --until score` labels and scores speech"
_FILTERS: Final = "`distillery run CONFIG --until filter` labels, scores and filters speech"


def data_sections(facts: Facts) -> Iterator[Section]:
    """The sections about data, in the order of the pipeline."""
    yield _hours(facts)
    yield _rejected(facts)
    sweep = _sweep(facts)
    yield _histograms(sweep)
    yield _thresholds(sweep)
    yield _listening(facts)


def _hours(facts: Facts) -> Section:
    section, title = "hours", "Hours of speech"
    hours = facts.status.hours()
    stages = list(dict.fromkeys(stage for of_corpus in hours.values() for stage in of_corpus))
    if not any(any(of_corpus.values()) for of_corpus in hours.values()):
        plans = "Nothing is planned yet; `distillery run CONFIG` begins."
        return Section(id=section, title=title, missing=plans)
    chart = bar_chart(hours, "hours", title="Hours of speech after each stage")
    figures = Figures(
        title="Hours after each stage, of all splits",
        columns=("corpus", *stages),
        rows=[
            (name, *(hours_text(found[one]) if one in found else "-" for one in stages))
            for name, found in hours.items()
        ],
    )
    return Section(id=section, title=title, parts=(Charts([chart]), Table(figures)))


def _rejected(facts: Facts) -> Section:
    rows = [row for row in facts.status.rejected() if row[1] in CORPUS_STAGES]
    section, title = "rejected", "Rejected rows"
    if not rows:
        return Section(id=section, title=title, parts=(Text("No row was rejected."),))
    by_corpus: dict[str, dict[str, float]] = {}
    for corpus, _, _, reason, num_rows in rows:
        found = by_corpus.setdefault(corpus, {})
        found[reason] = found.get(reason, 0) + num_rows
    figures = Figures(
        title="Rows by reason: dropped by a rule, or quarantined because they are unreadable",
        columns=("corpus", "stage", "outcome", "reason", "rows"),
        rows=[(*names, f"{num_rows:,}") for *names, num_rows in rows],
        num_keys=4,
    )
    chart = bar_chart(by_corpus, "rows", title="Rejected rows by reason")
    about = "`distillery explain CONFIG --reason REASON` lists the rows of a reason."
    return Section(id=section, title=title, parts=(Charts([chart]), Table(figures), Text(about)))


def _sweep(facts: Facts) -> Sweep | None:
    """The sweep of all thresholds of the slider; None without any evidence."""
    try:
        return read_sweep(facts.config, facts.store, SWEPT)
    except UserError:
        return None


def _histograms(sweep: Sweep | None) -> Section:
    section, title = "error-rates", "Word error rates of labels"
    if sweep is None:
        return Section(id=section, title=title, missing=f"Nothing is scored yet; {_SCORES}.")
    by_corpus = _by_corpus(sweep)
    charts = [_histogram(corpus, lines) for corpus, lines in by_corpus.items()]
    about = (
        "Hours of labels by their word error rate against the reference, of those that pass all"
        " other rules. Beyond the dashed line, the configured threshold, they are dropped."
    )
    return Section(id=section, title=title, parts=(Text(about), Charts(charts)))


def _histogram(corpus: str, lines: Sequence[SweepLine]) -> str:
    """What each threshold keeps in addition to the one before it."""
    kept = {line.max_wer_percent: line.kept.hours for line in lines}
    edges = [float(edge) for edge in range(0, _LAST_BIN + 1, _BIN)]
    up_to = [0.0, *(kept[edge] for edge in edges[1:])]
    return histogram(
        edges,
        [after - before for before, after in pairwise(up_to)],
        "word error rate, %",
        f"hours of {corpus}",
        limit=next((line.max_wer_percent for line in lines if line.is_configured), None),
        title=f"Word error rates of {corpus}",
    )


def _by_corpus(sweep: Sweep) -> dict[str, list[SweepLine]]:
    """The lines of each corpus; of all together only if there are several."""
    found: dict[str, list[SweepLine]] = {}
    for line in sweep.lines:
        found.setdefault(line.corpus, []).append(line)
    return {name: lines for name, lines in found.items() if name != ALL or len(found) > 2}


def _thresholds(sweep: Sweep | None) -> Section:
    section, title = "thresholds", "What a threshold keeps"
    if sweep is None:
        return Section(id=section, title=title, missing=f"Nothing is scored yet; {_SCORES}.")
    by_corpus = _by_corpus(sweep)
    percents = list(dict.fromkeys(line.max_wer_percent for line in sweep.lines))
    configured = [line.max_wer_percent for line in sweep.lines if line.is_configured]
    first = configured[0] if configured else percents[0]
    columns = [name.replace("\n", " ") for name in sweep_figures([]).columns]
    values = {
        "percents": percents,
        "first": percents.index(first),
        "rows": [
            [
                [corpus, *(cell.strip() for cell in sweep_cells(line))]
                for corpus, lines in by_corpus.items()
                for line in lines
                if line.max_wer_percent == percent
            ]
            for percent in percents
        ],
    }
    chart = line_chart(
        {
            corpus: [
                (line.max_wer_percent, line.kept_percent)
                for line in lines
                if line.kept_percent is not None
            ]
            for corpus, lines in by_corpus.items()
        },
        "word error rate at most, %",
        "hours kept, %",
        points={"paper": [(at, 100 - lost) for at, lost in PAPER_FILTERED_PERCENT.items()]},
        limit=first,
        title="Hours kept by threshold",
    )
    about = (
        "Every threshold with all other rules as configured, from the evidence alone: `distillery"
        " sweep CONFIG` prints the same. An asterisk marks the configured threshold."
    )
    slider = Slider(columns, values, Charts([chart]))
    remarks = (Text(remark) for remark in sweep.remarks)
    parts: tuple[Part, ...] = (Text(about), slider, Table(_paper(), is_folded=True), *remarks)
    return Section(id=section, title=title, parts=parts)


def _paper() -> Figures:
    """Table 10 of the paper: the threshold against the student's error rates."""
    return Figures(
        title=f"Table {THRESHOLDS.number} of the paper: {THRESHOLDS.title.lower()}",
        columns=(THRESHOLDS.setting, "filtered %", "WER % in domain", "out of domain", "average"),
        rows=[
            (
                setting,
                f"{row.more['filtered %']:.1f}",
                f"{row.in_domain:.1f}",
                f"{row.out_of_domain:.1f}",
                f"{row.average:.1f}",
            )
            for setting, row in THRESHOLDS.rows.items()
        ],
    )


def _listening(facts: Facts) -> Section:
    section, title = "listening", "Listen"
    samples = read_samples(facts.states)
    if not samples:
        return Section(id=section, title=title, missing=f"Nothing is filtered yet; {_FILTERS}.")
    about = (
        "The worst utterances that were kept, and some of those that were dropped, by reason. These"
        " are recordings of the corpora: before this page is passed on, see their licences below."
    )
    listening = Listening([(one, _url(one)) for one in samples])
    return Section(id=section, title=title, parts=(Text(about), listening))


def _url(sample: Sample) -> str:
    """The audio itself, in a URL; a third of its size as FLAC."""
    data = encode_mp3(decode(sample.audio).samples[:, 0])
    return f"data:audio/mpeg;base64,{b64encode(data).decode()}"
