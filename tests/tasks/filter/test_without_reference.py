"""Labels without a reference are judged by their own signals, others by their error rate."""

from typing import Any

import pyarrow as pa
import pytest

from configs.schema import Filter, WithoutReference
from storage.outcome import Rejected
from tasks.filter.rules import rules
from tasks.filter.shard import filter_shard
from tests.tasks.filter.evidence_rows import COMPARED, KNOWN, SILENT, evidence, table

OWN = Filter(drop_empty_reference=False)
BAD: dict[str, Any] = {
    "avg_logprob": -2.0,
    "no_speech_prob": 0.9,
    "compression_ratio": 5.0,
    "most_repeats": 90,
    "chars_per_s": 90.0,
}


def judged(name: str, reference: str = "", **changes: Any) -> dict[str, Any]:
    return evidence(name, **{**(COMPARED if reference else SILENT), **changes})


def reasons(*rows: dict[str, Any], settings: Filter = OWN) -> dict[str, str]:
    """The reason of each window, empty for one that is kept."""
    outcomes = list(filter_shard(table(list(rows)), settings, KNOWN))
    found = {one.id: one.reason for one in outcomes if isinstance(one, Rejected)}
    kept = [
        one.column("window_id").to_pylist() for one in outcomes if isinstance(one, pa.RecordBatch)
    ]
    return {**{name: "" for names in kept for name in names}, **found}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"avg_logprob": -0.5}, ""),
        ({"avg_logprob": -0.51}, "low_confidence"),
        ({"no_speech_prob": 0.6}, ""),
        ({"no_speech_prob": 0.61}, "no_speech"),
        ({"compression_ratio": 2.4}, ""),
        ({"compression_ratio": 2.41}, "repetition"),
        ({"most_repeats": 4}, ""),
        ({"most_repeats": 5}, "repetition"),
        ({"chars_per_s": 30.0}, ""),
        ({"chars_per_s": 30.1}, "speech_rate"),
        ({"chars_per_s": 1.0}, ""),
        ({"chars_per_s": 0.9}, "speech_rate"),
        ({"words_per_s": 0.0}, "empty_hypothesis"),
        (BAD, "no_speech"),
    ],
)
def test_a_window_without_reference_is_judged_by_its_signals(
    changes: dict[str, Any], reason: str
) -> None:
    assert reasons(judged("a", **changes)) == {"a": reason}


def test_a_window_with_a_reference_is_judged_by_its_rate_alone() -> None:
    rows = [
        judged("a", "no", **BAD),
        judged("b", **BAD),
        judged("c", "no", wer_percent=50.0),
        judged("d"),
    ]
    assert reasons(*rows) == {"a": "", "b": "no_speech", "c": "wer", "d": ""}


def test_dropping_them_all_is_the_default() -> None:
    assert reasons(judged("a"), settings=Filter()) == {"a": "empty_reference"}


def test_each_rule_can_be_left_out() -> None:
    nothing = WithoutReference(**dict.fromkeys(WithoutReference.model_fields))
    settings = Filter(drop_empty_reference=False, without_reference=nothing, max_tokens=None)
    assert reasons(judged("a", **BAD), settings=settings) == {"a": ""}
    assert {rule.reason for rule in rules(settings, KNOWN)} == {
        "no_reference",
        "empty_hypothesis",
        "flagged",
        "wer",
    }


def test_rules_stand_in_the_documented_order() -> None:
    assert [rule.reason for rule in rules(OWN, KNOWN)] == [
        "no_reference",
        "empty_hypothesis",
        "too_long",
        "flagged",
        "no_speech",
        "repetition",
        "repetition",
        "speech_rate",
        "speech_rate",
        "low_confidence",
        "empty_hypothesis",  # taken for silence
        "wer",
    ]


def test_the_detail_says_what_was_found() -> None:
    rows = table([judged("a", avg_logprob=-0.75)])
    assert list(filter_shard(rows, OWN, KNOWN)) == [
        Rejected("a", "dropped", "low_confidence", "avg_logprob -0.75 < -0.5")
    ]
