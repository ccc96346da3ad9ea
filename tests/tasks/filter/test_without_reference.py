"""Labels without a reference are judged by their own signals; those with one never are."""

from typing import Any

import pyarrow as pa
import pytest

from configs.schema import Filter, WithoutReference
from storage.outcome import LeftOut
from storage.schema import EVIDENCE
from tasks.filter.rules import rules
from tasks.filter.shard import filter_shard
from tasks.filter.without_reference import chars_per_s, most_repeats

OWN = Filter(drop_empty_reference=False)
BAD: dict[str, Any] = {
    "avg_logprob": -2.0,
    "no_speech_prob": 0.9,
    "compression_ratio": 5.0,
    "hypothesis": "no " * 90,
}


def evidence(name: str, reference: str = "", **changes: Any) -> dict[str, Any]:
    num_words = len(reference.split())
    return {
        "window_id": name,
        "utterance_ids": [name],
        "duration_s": 2.0,
        "reference": reference,
        "hypothesis": "the boat was very small",
        "num_reference_words": num_words,
        "hits": num_words,
        "substitutions": 0,
        "deletions": 0,
        "insertions": 0,
        "wer_percent": 0.0 if num_words else None,
        "cer_percent": 0.0 if num_words else None,
        "avg_logprob": -0.2,
        "no_speech_prob": 0.1,
        "compression_ratio": 1.0,
        **changes,
    }


def reasons(*rows: dict[str, Any], settings: Filter = OWN) -> dict[str, str]:
    """The reason of each window, empty for one that is kept."""
    table = pa.Table.from_pylist(list(rows), schema=EVIDENCE)
    outcomes = list(filter_shard(table, settings))
    found = {one.id: one.reason for one in outcomes if isinstance(one, LeftOut)}
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
        ({"hypothesis": "no no no no"}, ""),
        ({"hypothesis": "oh no no no no no"}, "repetition"),
        ({"hypothesis": "thank you so much " * 5, "duration_s": 9.0}, "repetition"),
        ({"hypothesis": "a" * 60}, ""),
        ({"hypothesis": "a" * 61}, "speech_rate"),
        ({"hypothesis": "a a"}, ""),
        ({"hypothesis": "a"}, "speech_rate"),
        ({"hypothesis": ""}, "empty_hypothesis"),
        (BAD, "no_speech"),
    ],
)
def test_a_window_without_reference_is_judged_by_its_signals(
    changes: dict[str, Any], reason: str
) -> None:
    assert reasons(evidence("a", **changes)) == {"a": reason}


def test_a_window_with_a_reference_is_judged_by_its_rate_alone() -> None:
    rows = [
        evidence("a", "no", **BAD),
        evidence("b", **BAD),
        evidence("c", "no", wer_percent=50.0),
        evidence("d"),
    ]
    assert reasons(*rows) == {"a": "", "b": "no_speech", "c": "wer", "d": ""}


def test_dropping_them_all_is_the_default() -> None:
    assert reasons(evidence("a"), settings=Filter()) == {"a": "empty_reference"}


def test_each_rule_can_be_left_out() -> None:
    nothing = WithoutReference(**dict.fromkeys(WithoutReference.model_fields))
    settings = Filter(drop_empty_reference=False, without_reference=nothing)
    assert reasons(evidence("a", **BAD), settings=settings) == {"a": ""}
    assert [rule.reason for rule in rules(settings)] == ["empty_hypothesis", "wer"]


def test_rules_stand_in_the_documented_order() -> None:
    assert [rule.reason for rule in rules(OWN)] == [
        "empty_hypothesis",
        "no_speech",
        "repetition",
        "repetition",
        "speech_rate",
        "speech_rate",
        "low_confidence",
        "wer",
    ]


def test_the_detail_says_what_was_found() -> None:
    table = pa.Table.from_pylist([evidence("a", avg_logprob=-0.75)], schema=EVIDENCE)
    assert list(filter_shard(table, OWN)) == [
        LeftOut("a", "dropped", "low_confidence", "avg_logprob -0.75 < -0.5")
    ]


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("", 1),
        ("one two three", 1),
        ("no no", 2),
        ("go on go on go", 2),
        ("a b a b a b c", 3),
        ("one two three four five six seven eight " * 2, 2),
        ("one two three four five six seven eight nine " * 2, 1),
        ("a a b a a", 2),
    ],
)
def test_repeats_are_of_a_phrase_that_follows_itself(text: str, most: int) -> None:
    assert most_repeats(text.split()) == most


def test_characters_are_counted_in_any_script() -> None:
    assert chars_per_s({"hypothesis": "\u4f60\u597d \u4e16\u754c", "duration_s": 2.0}) == 2.0
