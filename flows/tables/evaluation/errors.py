"""The sections on word error rates: of single utterances, of long recordings, and differences."""

from collections.abc import Iterator, Mapping
from typing import Final

from configs.evaluate import STUDENT, TEACHER
from flows.tables.figures import Figures
from flows.tables.words import change_text, ends_text, rate_text
from tasks.evaluate.findings import CHUNKED, CLEAN, SEQUENTIAL, Average, SetResult
from tasks.evaluate.result import Report
from tasks.paper.results import CHUNKED_WER_BY_SET, SHORT_WER_BY_SET, Pair

_DOMAINS: Final = {"in": "in domain", "out": "out of domain", "all": "mean"}
_WITHOUT_NOISE: Final = (CLEAN, CHUNKED, SEQUENTIAL)


def short_form_section(report: Report) -> Iterator[str | Figures]:
    """Single utterances: a row for each set and for the means, a column for each model."""
    yield from _rates(report, CLEAN, "Evaluation on held-out speech: WER %", SHORT_WER_BY_SET)


def long_form_section(report: Report) -> Iterator[str | Figures]:
    """Long recordings, for each algorithm."""
    yield from _rates(report, CHUNKED, "Long form, chunked: WER %", CHUNKED_WER_BY_SET)
    yield from _rates(report, SEQUENTIAL, "Long form, sequential: WER %", {})


def differences_section(report: Report) -> Iterator[str | Figures]:
    """How the models differ from the teacher on the same speech, and in and out of domain."""
    rows = [
        (
            one.model,
            one.condition,
            _DOMAINS[one.domain] if one.domain != "all" else "all",
            change_text(one.difference),
            ends_text(one.interval),
            "-" if one.p_value is None else f"{one.p_value:.3f}",
        )
        for one in report.comparisons
        if one.baseline == TEACHER and one.condition in _WITHOUT_NOISE
    ]
    if rows:
        yield Figures(
            title="Difference to the teacher in points of WER",
            columns=("model", "condition", "sets", "points", "95 % interval", "p"),
            rows=rows,
            num_keys=3,
        )
    yield from _robustness(report)


def _robustness(report: Report) -> Iterator[str | Figures]:
    """Only where some corpora are in domain and others are not."""
    rows = [
        (
            one.model,
            rate_text(one.in_domain_percent),
            rate_text(one.out_of_domain_percent),
            change_text(one.in_domain_change_percent, " %"),
            change_text(one.out_of_domain_change_percent, " %"),
        )
        for one in report.robustness
        if one.in_domain_percent is not None and one.out_of_domain_percent is not None
    ]
    if rows:
        yield Figures(
            title="Effective robustness, and the change from the teacher",
            columns=(
                "model",
                "WER % in\ndomain",
                "WER % out\nof domain",
                "change in\ndomain",
                "change out\nof domain",
            ),
            rows=rows,
        )


def _rates(
    report: Report, condition: str, title: str, paper: Mapping[str, Pair]
) -> Iterator[str | Figures]:
    """WER by set and model, with the paper's for the sets that it has too."""
    results = {(one.set, one.model): one for one in report.sets if one.condition == condition}
    sets = list(dict.fromkeys(name for name, _ in results))
    models = list(dict.fromkeys(model for _, model in results))
    if not sets:
        return
    yield Figures(
        title=title,
        columns=("set", "utterances", *models),
        rows=[
            (
                name,
                f"{max(one.num_utterances for key, one in results.items() if key[0] == name):,}",
                *(_set_text(results.get((name, model))) for model in models),
            )
            for name in sets
        ],
        footer=[
            (label, "", *(_mean_text(averages.get(model)) for model in models))
            for label, averages in _means(report, condition).items()
        ],
    )
    if known := {name: paper[name] for name in sets if name in paper}:
        yield Figures(
            title=f"The same sets in the paper: {title.rpartition(': ')[2]}",
            columns=("set", TEACHER, STUDENT),
            rows=[
                (name, f"{pair.teacher:.1f}", f"{pair.student:.1f}") for name, pair in known.items()
            ],
        )


def _means(report: Report, condition: str) -> Mapping[str, Mapping[str, Average]]:
    """The averages of each domain that has sets, by label and model; none if there is one set."""
    found: dict[str, dict[str, Average]] = {}
    rows = [one for one in report.averages if one.condition == condition and one.num_sets]
    domains = {one.domain for one in rows}
    for domain, label in _DOMAINS.items():
        for one in rows:
            is_told = domain == "all" or {"in", "out"} <= domains
            if one.domain == domain and is_told and (domain != "all" or one.num_sets > 1):
                sets = "set" if one.num_sets == 1 else "sets"
                found.setdefault(f"{label}, {one.num_sets} {sets}", {})[one.model] = one
    return found


def _set_text(result: SetResult | None) -> str:
    return rate_text(result.wer_percent, result.wer_interval) if result else "-"


def _mean_text(average: Average | None) -> str:
    return rate_text(average.wer_percent, average.wer_interval) if average else "-"
