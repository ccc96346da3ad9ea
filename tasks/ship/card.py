"""The model card of a student, in Markdown: a pure function of what is known of it."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from storage.manifest import Manifest
from tasks.card import joined, licence_lines, table
from tasks.distil.stage import DISTIL
from tasks.evaluate.findings import Interval
from tasks.evaluate.result import Report
from tasks.evaluate.statistics.bootstrap import COVERED_PERCENT
from tasks.evaluate.statistics.pooled import ModelResult
from tasks.ship.facts import Comparison, Format, StudentFacts
from tasks.ship.metadata import render_metadata
from tasks.ship.usage import usage_lines
from tasks.text.display import json_lines, markdown, markdown_code

_LIBRARIES: Final = {"hf": "transformers", "ctranslate2": "CTranslate2", "onnx": "ONNX Runtime"}
_ALL: Final = "all"
_RECIPE: Final[Mapping[str, Any]] = {**DISTIL.defaults, "dtype": "bfloat16"}
"""The settings of the paper; what it leaves open has the default."""


def render_model_card(
    facts: StudentFacts,
    *,
    format: Format = "hf",
    location: str = ".",
    comparison: Comparison | None = None,
) -> str:
    """README.md of a student: metadata for the Hub, and the text.

    `location` is where its users find it, a folder or a name on the Hub. `comparison` is that of a
    converted student with the original.
    """
    lines = [
        *_head(facts, format, comparison),
        *_results(facts),
        *_validation(facts),
        *_data(facts.manifest),
        *_training(facts),
        *usage_lines(facts, format, location),
        *_reproduction(facts),
        *licence_lines(facts.manifest),
    ]
    return render_metadata(facts, format) + "\n" + "\n".join(lines) + "\n"


def _head(facts: StudentFacts, format: Format, comparison: Comparison | None) -> Iterator[str]:
    size, total = facts.size, facts.manifest.totals[_ALL]
    yield f"# {markdown(facts.name)}"
    yield ""
    yield (
        f"A Whisper for {markdown(joined(facts.languages))} with {size.encoder_layers} encoder and"
        f" {size.decoder_layers} decoder layers, {size.num_parameters:,} parameters. It was"
        f" distilled from {markdown_code(facts.teacher)} on {total.hours:,.2f} hours of speech that"
        " this teacher transcribed."
    )
    yield ""
    yield f"This folder is for {_LIBRARIES[format]}."
    if comparison is not None:
        yield (
            f"It was converted from the weights of transformers. By {markdown(comparison.library)},"
            f" greedily in float32 on held-out speech, it writes {comparison.summary}."
        )


def _results(facts: StudentFacts) -> Iterator[str]:
    yield from ("", "## Evaluation", "")
    report = facts.report
    if report is None:
        yield "It was not evaluated on held-out speech."
        return
    rows = [
        [name, *_rates(facts, name, teacher, student), f"{num:,}"]
        for name, teacher, student, num in _sets(report)
    ]
    yield (
        f"Word error rate in % on {markdown(facts.evaluated_role)} speech, greedily, after text"
        f" normalisation. In brackets the {COVERED_PERCENT:g} % interval by bootstrap over"
        " speakers."
    )
    yield ""
    yield from table(("corpus", "teacher", "student", "utterances"), rows)
    yield ""
    others = [
        [title, *(getattr(one, key) for one in (report.teacher, report.student))]
        for title, key in (("parameters", "num_parameters"), ("decoder layers", "decoder_layers"))
    ]
    rates = [
        [title, *(_percent(getattr(one, key)) for one in (report.teacher, report.student))]
        for title, key in (
            ("substitutions, %", "substitution_percent"),
            ("deletions, %", "deletion_percent"),
            ("insertions, %", "insertion_percent"),
        )
    ]
    repeated = [one.num_repeated_5grams for one in (report.teacher, report.student)]
    speed = ["speed, teacher = 1", "1.00", f"{report.relative_speed:.2f}"]
    counts = [[title, *(f"{value:,}" for value in values)] for title, *values in others]
    rows = [*counts, *rates, ["repeated 5-grams", *(f"{n:,}" for n in repeated)], speed]
    yield from table(("", "teacher", "student"), rows)
    yield ""
    yield (
        f"Speed is that of the same windows one at a time: {_seconds(report.teacher)} s by the"
        f" teacher, {_seconds(report.student)} s by the student, on the machine of the evaluation."
    )
    if report.coverage.excluded:
        reasons = ", ".join(f"{name} {count:,}" for name, count in report.coverage.excluded.items())
        yield ""
        yield (
            f"Of {report.coverage.num_annotated:,} annotated utterances"
            f" {report.coverage.num_utterances:,} were measured; excluded: {markdown(reasons)}."
        )


def _sets(report: Report) -> Iterator[tuple[str, float | None, float | None, int]]:
    for corpus, rates in report.by_corpus.items():
        num_utterances = report.coverage_by_corpus[corpus].num_utterances
        yield corpus, rates.get("teacher"), rates.get("student"), num_utterances
    if len(report.by_corpus) > 1:
        rates_of_all = report.teacher.wer_percent, report.student.wer_percent
        yield _ALL, *rates_of_all, report.coverage.num_utterances


def _rates(
    facts: StudentFacts, name: str, teacher: float | None, student: float | None
) -> Iterator[str]:
    for model, rate in (("teacher", teacher), ("student", student)):
        found = facts.intervals.get(model, {}).get(name)
        yield f"{_percent(rate)}{_interval(found)}"


def _interval(found: Interval | None) -> str:
    return f" ({found[0]:.2f} to {found[1]:.2f})" if found else ""


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.2f}"


def _seconds(model: ModelResult) -> str:
    return f"{model.seconds or 0:.2f}"


def _validation(facts: StudentFacts) -> Iterator[str]:
    recorded = facts.receipt.recorded
    score = recorded.get("validation_wer_percent")
    yield from ("", "## Validation", "")
    if score is None:
        yield "There was no validation speech: these are the weights after the last update."
        return
    by_set = _by_set(recorded)
    num = recorded.get("num_validation_utterances")
    of = f" of {num:,} utterances" if num is not None else ""
    yield (
        f"{_weights(recorded)} of {facts.num_steps:,}, which have the lowest word error rate on"
        f" validation speech: {_percent(score)} %{of}"
        f"{', averaged over the sets' if len(by_set) > 1 else ''}."
    )
    if by_set:
        yield ""
        yield from table(("set", "WER, %"), [[name, _percent(by_set[name])] for name in by_set])


def _weights(recorded: Mapping[str, Any]) -> str:
    if steps := recorded.get("averaged_steps"):
        return f"These are the mean weights after updates {joined(map(str, steps))}"
    return f"These are the weights after update {recorded.get('best_step')}"


def _by_set(recorded: Mapping[str, Any]) -> Mapping[str, float | None]:
    """The rates by set, if they are those of the stored weights: older receipts have others."""
    found: Mapping[str, float | None] = recorded.get("validation_wer_percent_by_set", {})
    rates = [rate for rate in found.values() if rate is not None]
    score = recorded["validation_wer_percent"]
    return found if rates and math.isclose(sum(rates) / len(rates), score) else {}


def _data(manifest: Manifest) -> Iterator[str]:
    rows = [
        [
            corpus,
            f"{totals.hours:,.2f}",
            f"{totals.windows:,}",
            f"{100 * totals.hours / totals.hours_heard:.1f}" if totals.hours_heard else "",
            terms.name if (terms := manifest.licences.get(corpus)) else "",
        ]
        for corpus, totals in manifest.totals.items()
    ]
    limits = {
        manifest.content.settings(corpus).get("filter.max_wer_percent")
        for corpus in manifest.licences
    }
    yield from ("", "## Training data", "")
    if known := sorted(limit for limit in limits if limit is not None):
        yield (
            "A label was kept only if its word error rate against the reference, where there is"
            " one, is at most"
            f" {joined(f'{limit:g} %' for limit in known)}."
        )
        yield ""
    yield from table(("corpus", "hours", "windows", "% kept", "licence"), rows)


def _training(facts: StudentFacts) -> Iterator[str]:
    rows = [
        [name, json.dumps(value), json.dumps(_RECIPE.get(name))]
        for name, value in facts.settings.items()
        if value != _RECIPE.get(name)
    ]
    yield from ("", "## Training", "")
    yield (
        f"{facts.num_steps:,} updates. The recipe is that of Distil-Whisper (arXiv 2311.00430,"
        " section 4.1 and table 15), and what it leaves open has a default of Distillery."
    )
    if rows:
        yield from ("", "What differs from it:", "")
        yield from table(("setting", "here", "recipe"), rows)


def _reproduction(facts: StudentFacts) -> Iterator[str]:
    manifest, receipt = facts.manifest, facts.receipt
    yield from ("", "## How to reproduce it", "")
    yield (
        f"`distillery run CONFIG` with a configuration of the settings below. Those of `distil`"
        f" decide the training, the others the data, whose manifest is"
        f" {markdown(manifest.name)} {manifest.number} with the digest"
        f" {markdown_code(manifest.digest)}. The SHA-256 of the weights for transformers is"
        f" {markdown_code(receipt.output.sha256)}; on another device the last bits can differ."
    )
    blocks = {
        "distil": facts.settings,
        "data": {corpus: manifest.content.settings(corpus) for corpus in manifest.licences},
    }
    written = json_lines(json.dumps(blocks, indent=1, ensure_ascii=False))
    yield from ("", "```json", written, "```", "")
    versions = (f"{name} {version}" for name, version in manifest.versions.items())
    yield f"Made with {_markdown_list(versions)}."


def _markdown_list(words: Iterable[str]) -> str:
    return markdown(", ".join(words))
