"""The rules for windows that have no reference: a label is judged by its own signals.

They have nothing to say about a window whose reference has words.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from configs.schema import WithoutReference
from tasks.filter.rule import Rule

_PHRASE_WORDS: Final = 8
_ASKED: Final = ("hypothesis", "duration_s", "avg_logprob", "no_speech_prob", "compression_ratio")

Row = dict[str, Any]


def rules_without_reference(settings: WithoutReference) -> list[Rule]:
    """The rules that `settings` ask for, in the order in which they give the reason.

    Each drops only what is beyond its limit, never what is at it.
    """
    chosen: list[Rule | None] = [
        _above(
            "no_speech", "no_speech_prob", _signal("no_speech_prob"), settings.max_no_speech_prob
        ),
        _above(
            "repetition",
            "compression_ratio",
            _signal("compression_ratio"),
            settings.max_compression_ratio,
        ),
        _above("repetition", "repeats", _repeats, settings.max_repeats),
        _above("speech_rate", "characters/s", chars_per_s, settings.max_chars_per_s),
        _below("speech_rate", "characters/s", chars_per_s, settings.min_chars_per_s),
        _below("low_confidence", "avg_logprob", _signal("avg_logprob"), settings.min_avg_logprob),
    ]
    return [rule for rule in chosen if rule is not None]


def most_repeats(words: Sequence[str]) -> int:
    """How often a phrase of up to 8 words follows itself at most, itself counted.

    >>> most_repeats("so thank you thank you thank you all".split())
    3
    """
    most = 1
    for length in range(1, _PHRASE_WORDS + 1):
        num_same = 0
        for place in range(length, len(words)):
            num_same = num_same + 1 if words[place] == words[place - length] else 0
            most = max(most, num_same // length + 1)
    return most


def chars_per_s(row: Row) -> float:
    """Characters of the normalised label a second, spaces not counted, so for any script."""
    return len("".join(row["hypothesis"].split())) / float(row["duration_s"])


def _repeats(row: Row) -> int:
    return most_repeats(row["hypothesis"].split())


def _signal(name: str) -> Callable[[Row], float]:
    return lambda row: float(row[name])


def _above(
    reason: str, name: str, value: Callable[[Row], float], limit: float | None
) -> Rule | None:
    if limit is None:
        return None
    return Rule(
        reason=reason,
        drops=_where(lambda row: value(row) > limit),
        detail=lambda row: f"{name} {value(row):.2f} > {limit:g}",
    )


def _below(
    reason: str, name: str, value: Callable[[Row], float], limit: float | None
) -> Rule | None:
    if limit is None:
        return None
    return Rule(
        reason=reason,
        drops=_where(lambda row: value(row) < limit),
        detail=lambda row: f"{name} {value(row):.2f} < {limit:g}",
    )


def _where(is_beyond: Callable[[Row], bool]) -> Callable[[pa.Table], pa.ChunkedArray]:
    """Rows without reference words of which `is_beyond` is true; the others are not even read."""

    def drops(evidence: pa.Table) -> pa.ChunkedArray:
        without = pc.equal(evidence.column("num_reference_words"), 0)
        rows = iter(evidence.filter(without).select(list(_ASKED)).to_pylist())
        found = [is_here and is_beyond(next(rows)) for is_here in without.to_pylist()]
        return pa.chunked_array([pa.array(found, pa.bool_())])

    return drops
