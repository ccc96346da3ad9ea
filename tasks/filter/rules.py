"""All filter rules, in the order in which they are tried.

A row gets the reason of the first rule that drops it. So legal reasons come before quality, and a
missing text before the error rate it causes; what is good enough, but not needed, comes last. What
a listener marked to be kept passes all but the final ones.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from configs.marks import UNMARKED, MarkedIds
from configs.schema import Filter, Hallucination, Takedown
from tasks.corpora.base import Licence
from tasks.filter.contamination import EvaluationSpeech, contamination_rules
from tasks.filter.rule import Row, Rule, above
from tasks.filter.without_reference import rules_without_reference


@dataclass(frozen=True, kw_only=True)
class FilterContext:
    """What rules need besides evidence: licence and marks of the corpus, and evaluation speech."""

    licence: Licence
    evaluated: EvaluationSpeech | None = None
    marks: MarkedIds = UNMARKED


def rules(settings: Filter, context: FilterContext) -> tuple[Rule, ...]:
    """The rules that are turned on by `settings`, in order."""
    return tuple(
        rule.except_for(context.marks.keep, settings.unit) for rule in _rules(settings, context)
    )


def _rules(settings: Filter, context: FilterContext) -> Iterator[Rule]:
    lacking = [right for right in settings.rights if not getattr(context.licence, right)]
    if lacking:
        yield _licence(context.licence, lacking)
    yield from _takedown(settings.takedown)
    if settings.contamination is not None and context.evaluated is not None:
        found = contamination_rules(settings.contamination, context.evaluated)
        yield from (replace(rule, is_final=True) for rule in found)
    if context.marks.exclude:
        yield from _excluded(context.marks.exclude)
    if settings.languages is not None:
        yield _language(settings.languages)
    if settings.max_foreign_percent is not None:
        yield above("language", "foreign_percent", settings.max_foreign_percent, level="utterance")
    yield NO_REFERENCE
    if settings.drop_empty_reference:
        yield EMPTY_REFERENCE
    if settings.drop_empty_hypothesis:
        yield EMPTY_HYPOTHESIS
    if settings.max_duration_s is not None:
        yield replace(above("too_long", "duration_s", settings.max_duration_s), is_final=True)
    if settings.max_tokens is not None:
        yield replace(above("too_long", "num_tokens", settings.max_tokens), is_final=True)
    yield from _hallucination(settings.hallucination)
    if settings.drop_upper_case:
        yield UPPER_CASE
    if not settings.drop_empty_reference:
        yield from rules_without_reference(settings.without_reference)
    if settings.drop_empty_hypothesis:
        yield _classified_as_silence()
    yield wer(settings.max_wer_percent)
    if settings.max_utterance_wer_percent is not None:
        yield wer(settings.max_utterance_wer_percent, of_utterances=True)
    if settings.fraction < 1:
        yield _beyond_fraction(settings.fraction, settings.fraction_seed)


def wer(max_wer_percent: float, *, of_utterances: bool = False) -> Rule:
    """Drop word error rates above `max_wer_percent`.

    Rows without reference words have no rate and are kept. `of_utterances` applies the rule to each
    utterance of a window, with the reason `utterance_wer`.
    """
    return Rule(
        reason="utterance_wer" if of_utterances else "wer",
        level="utterance" if of_utterances else "unit",
        columns=("wer_percent",),
        drops=lambda rows: pc.fill_null(
            pc.greater(rows.column("wer_percent"), max_wer_percent), False
        ),
        detail=lambda row: f"wer {row['wer_percent']:.1f} % > {max_wer_percent:g} %",
    )


NO_REFERENCE: Final = Rule(
    reason="no_reference",
    level="utterance",
    columns=("no_reference",),
    drops=lambda rows: rows.column("no_reference").is_valid(),
    detail=lambda row: str(row["no_reference"]),
)

EMPTY_REFERENCE: Final = Rule(
    reason="empty_reference",
    columns=("num_reference_words",),
    drops=lambda rows: pc.equal(rows.column("num_reference_words"), 0),
    detail=lambda row: f"the label is {row['hypothesis']!r}",
)

EMPTY_HYPOTHESIS: Final = Rule(
    reason="empty_hypothesis",
    columns=("words_per_s",),
    drops=lambda rows: pc.equal(rows.column("words_per_s"), 0),
    detail=lambda row: f"the label is empty, the reference is {row['reference']!r}",
)

UPPER_CASE: Final = Rule(
    reason="upper_case",
    columns=("is_upper_case",),
    drops=lambda rows: rows.column("is_upper_case"),
    detail=lambda row: f"the label of {row['hypothesis']!r} has no lower-case letter",
)


def _flagged(reason: str, flags: Sequence[str], detail: Callable[[Row], str]) -> Rule:
    unwanted = pa.array(flags, pa.string())

    def drops(rows: pa.Table) -> pa.ChunkedArray:
        lists = rows.column("flags").combine_chunks()
        hits = pc.list_parent_indices(lists).filter(pc.is_in(lists.flatten(), unwanted))
        is_dropped = np.zeros(rows.num_rows, np.bool_)
        is_dropped[hits.to_numpy(zero_copy_only=False)] = True
        return pa.chunked_array([pa.array(is_dropped)])

    return Rule(reason=reason, level="window", columns=("flags",), drops=drops, detail=detail)


def _classified_as_silence() -> Rule:
    return _flagged(
        "empty_hypothesis",
        ["no_speech"],  # openai/whisper also discards the text of these
        lambda row: f"classified as silence, no_speech_prob {row['no_speech_prob']:.2f}",
    )


def _licence(licence: Licence, lacking: Sequence[str]) -> Rule:
    return Rule(
        reason="licence",
        level="window",
        columns=("duration_s",),
        drops=lambda rows: pa.chunked_array([pa.repeat(True, rows.num_rows)]),
        detail=lambda row: f"{licence.name} does not allow {', '.join(lacking)}",
        is_final=True,
    )


def _takedown(settings: Takedown) -> Iterator[Rule]:
    for column, names in (("id", settings.ids), ("speaker_id", settings.speakers)):
        if names:
            detail = "its id is listed" if column == "id" else "its speaker is listed"
            yield _listed("takedown", column, names, detail)


def _excluded(ids: Sequence[str]) -> Iterator[Rule]:
    yield _listed("excluded", "id", ids, "it is marked exclude")
    yield _listed("excluded", "window_id", ids, "its window is marked exclude")


def _listed(reason: str, column: str, names: Sequence[str], detail: str) -> Rule:
    wanted = pa.array(names, pa.string())
    return Rule(
        reason=reason,
        level="window" if column == "window_id" else "utterance",
        columns=(column,),
        drops=lambda rows: pc.is_in(rows.column(column), wanted),
        detail=lambda row: detail,
        is_final=True,
    )


def _language(languages: Sequence[str]) -> Rule:
    allowed = pa.array(languages, pa.string())
    return Rule(
        reason="language",
        level="window",
        columns=("language",),
        drops=lambda rows: pc.invert(pc.is_in(rows.column("language"), allowed)),
        detail=lambda row: f"the label is in {row['language']}, not in {', '.join(languages)}",
    )


def _beyond_fraction(fraction: float, seed: int) -> Rule:
    """Keep the windows whose draw is below `fraction`; so smaller shares are in larger ones."""

    def drops(rows: pa.Table) -> pa.ChunkedArray:
        drawn = (draw(name, seed) for name in rows.column("window_id").to_pylist())
        return pa.chunked_array([pa.array([one >= fraction for one in drawn], pa.bool_())])

    return Rule(
        reason="beyond_fraction",
        level="window",
        columns=("window_id",),
        drops=drops,
        detail=lambda row: f"drawn {draw(row['window_id'], seed):.4f} >= {fraction:g}",
        is_final=True,
    )


def draw(window_id: str, seed: int) -> float:
    """A number in [0, 1) that depends on the id and the seed alone."""
    digest = hashlib.sha256(f"fraction {seed} {window_id}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def _hallucination(settings: Hallucination) -> Iterator[Rule]:
    if settings.flags:
        yield _flagged(
            "flagged",
            settings.flags,
            lambda row: f"fails {', '.join(sorted(set(row['flags']) & set(settings.flags)))}",
        )
    for reason, column, limit in (
        ("repetition", "compression_ratio", settings.max_compression_ratio),
        ("repetition", "most_repeats", settings.max_repeats),
        ("speech_rate", "chars_per_s", settings.max_chars_per_s),
    ):
        if limit is not None:
            yield above(reason, column, limit)
