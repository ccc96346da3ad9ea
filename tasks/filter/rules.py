"""The rules that a window must pass, each a question to a whole table of evidence.

A rule says for each window whether it is dropped, and in words why. Order matters for the reason
only, since each window has one: a text that is missing says more than the rate it leads to.
"""

import pyarrow as pa
import pyarrow.compute as pc

from configs.schema import Filter
from tasks.filter.rule import Rule
from tasks.filter.without_reference import rules_without_reference


def rules(settings: Filter) -> tuple[Rule, ...]:
    """The rules that `settings` ask for, in the order in which they give the reason."""
    chosen: list[Rule] = []
    if settings.drop_empty_reference:
        chosen.append(EMPTY_REFERENCE)
    if settings.drop_empty_hypothesis:
        chosen.append(EMPTY_HYPOTHESIS)
    if not settings.drop_empty_reference:
        chosen += rules_without_reference(settings.without_reference)
    return (*chosen, wer(settings.max_wer_percent))


def wer(max_wer_percent: float) -> Rule:
    """More errors than `max_wer_percent`; that very rate is kept.

    A window without reference words has no rate, and this rule has nothing to say about it.
    """
    return Rule(
        reason="wer",
        drops=lambda evidence: pc.fill_null(
            pc.greater(evidence.column("wer_percent"), max_wer_percent), False
        ),
        detail=lambda row: f"wer {row['wer_percent']:.1f} % > {max_wer_percent:g} %",
    )


EMPTY_REFERENCE = Rule(
    reason="empty_reference",
    drops=lambda evidence: pc.equal(evidence.column("num_reference_words"), 0),
    detail=lambda row: f"the teacher heard {row['hypothesis']!r}",
)

EMPTY_HYPOTHESIS = Rule(
    reason="empty_hypothesis",
    drops=lambda evidence: pc.equal(evidence.column("hypothesis"), ""),
    detail=lambda row: f"the teacher heard nothing for {row['reference']!r}",
)


def reason_places(evidence: pa.Table, chosen: tuple[Rule, ...]) -> list[int | None]:
    """For each window the place in `chosen` of the first rule that drops it; None: it is kept."""
    places: pa.Array = pa.nulls(evidence.num_rows, pa.int32())
    for place, rule in enumerate(chosen):
        unanswered = pc.and_(rule.drops(evidence), pc.is_null(places))
        places = pc.if_else(unanswered, pa.scalar(place, pa.int32()), places)
    found: list[int | None] = places.to_pylist()
    return found
