"""Every rule, applied to windows and to utterances: what it drops, why, and what it keeps."""

from typing import Any

import pyarrow as pa
import pytest

from configs.schema import Filter, Hallucination, Takedown
from storage.outcome import Rejected
from tasks.corpora.base import Licence
from tasks.filter.rules import FilterContext, rules
from tasks.filter.shard import filter_shard
from tests.tasks.filter.evidence_rows import KNOWN, SILENT, Row, evidence, table, utterance

NARROW = FilterContext(
    licence=Licence(
        name="CC-BY-NC-ND-3.0", commercial_use=False, derivatives=False, redistribution=True
    )
)


def filtered(
    rows: list[Row], settings: Filter, known: FilterContext = KNOWN
) -> tuple[list[list[str]], dict[str, str], dict[str, str]]:
    """The utterances of each kept window; the reasons and details of the others."""
    outcomes = list(filter_shard(table(rows), settings, known))
    kept = [
        row["utterance_ids"]
        for one in outcomes
        if isinstance(one, pa.RecordBatch)
        for row in one.to_pylist()
    ]
    rejected = [one for one in outcomes if isinstance(one, Rejected)]
    assert all(one.outcome == "dropped" for one in rejected)
    reasons = {one.id: one.reason for one in rejected}
    assert len(reasons) == len(rejected)
    return kept, reasons, {one.id: one.detail for one in rejected}


HALLUCINATION = Hallucination(
    max_repeats=3, max_compression_ratio=2.4, max_chars_per_s=25.0, flags=("no_end",)
)


@pytest.mark.parametrize(
    ("settings", "changes", "reason", "detail"),
    [
        ({}, {"wer_percent": 10.0}, "", ""),
        ({}, {"wer_percent": 10.1}, "wer", "wer 10.1 % > 10 %"),
        ({"max_utterance_wer_percent": 8.0}, {"wer_percent": 9.0}, "utterance_wer", "9.0 % > 8"),
        ({}, SILENT, "empty_reference", "the label is 'a b'"),
        (
            {},
            {"words_per_s": 0.0},
            "empty_hypothesis",
            "empty, the reference is 'a b'",
        ),
        ({}, {"flags": ["no_speech"]}, "empty_hypothesis", "classified as silence"),
        ({"max_duration_s": 30.0}, {"duration_s": 30.0}, "", ""),
        ({"max_duration_s": 30.0}, {"duration_s": 30.5}, "too_long", "duration_s 30.50 > 30"),
        ({}, {"num_tokens": 448}, "", ""),
        ({}, {"num_tokens": 449}, "too_long", "num_tokens 449 > 448"),
        ({"hallucination": HALLUCINATION}, {"most_repeats": 3}, "", ""),
        ({"hallucination": HALLUCINATION}, {"most_repeats": 4}, "repetition", "repeats 4 > 3"),
        ({"hallucination": HALLUCINATION}, {"compression_ratio": 2.5}, "repetition", "2.50 > 2.4"),
        ({"hallucination": HALLUCINATION}, {"chars_per_s": 26.0}, "speech_rate", "26.00 > 25"),
        ({"hallucination": HALLUCINATION}, {"flags": ["avg_logprob"]}, "", ""),
        (
            {"hallucination": HALLUCINATION},
            {"flags": ["avg_logprob", "no_end"]},
            "flagged",
            "fails no_end",
        ),
        ({"languages": ("en", "de")}, {"language": "de"}, "", ""),
        ({"languages": ("en",)}, {"language": "de"}, "language", "the label is in de, not in en"),
        ({"max_foreign_percent": 50.0}, {"foreign_percent": 50.0}, "", ""),
        ({"max_foreign_percent": 50.0}, {"foreign_percent": 51.0}, "language", "51.00 > 50"),
        ({}, {"is_upper_case": True}, "", ""),
        ({"drop_upper_case": True}, {"is_upper_case": True}, "upper_case", "no lower-case letter"),
        ({"takedown": Takedown(ids=("a",))}, {}, "takedown", "its id is listed"),
        ({"takedown": Takedown(speakers=("ann",))}, {}, "takedown", "its speaker is listed"),
        ({"takedown": Takedown(ids=("b",), speakers=("bob",))}, {}, "", ""),
    ],
)
@pytest.mark.parametrize("unit", ["window", "utterance"])
def test_each_rule_drops_values_beyond_its_limit(
    unit: Any, settings: dict[str, Any], changes: Row, reason: str, detail: str
) -> None:
    """A value of exactly the limit is kept."""
    rows = [evidence("a", **changes), evidence("other", speaker_id="eve", utterances=[
        utterance("other", speaker_id="eve")
    ])]  # fmt: skip
    kept, reasons, details = filtered(rows, Filter(unit=unit, **settings))
    assert kept == ([["other"]] if reason else [["a"], ["other"]])
    assert reasons == ({"a": reason} if reason else {})
    assert detail in details.get("a", "")


@pytest.mark.parametrize("unit", ["window", "utterance"])
def test_a_licence_without_the_demanded_right_drops_the_corpus(unit: Any) -> None:
    wanted = Filter(unit=unit, rights=("commercial_use", "redistribution"))
    rows = [evidence("a"), evidence("b", 50.0)]
    assert filtered(rows, wanted)[0] == [["a"]]
    kept, reasons, details = filtered(rows, wanted, NARROW)
    assert (kept, set(reasons.values())) == ([], {"licence"})
    assert details["a"] == "CC-BY-NC-ND-3.0 does not allow commercial_use"
    assert filtered(rows, Filter(unit=unit, rights=("redistribution",)), NARROW)[0] == [["a"]]


def pack(**second: Any) -> Row:
    """A good window of three utterances, the second with the given values."""
    members = [utterance("a"), utterance("b", **second), utterance("c")]
    return evidence("w", 5.0, members, duration_s=6.0)


def test_a_bad_utterance_in_a_good_window_drops_it() -> None:
    rows = [pack(wer_percent=60.0)]
    assert filtered(rows, Filter())[0] == [["a", "b", "c"]]
    kept, reasons, details = filtered(rows, Filter(max_utterance_wer_percent=50.0))
    assert kept == []
    assert reasons == {
        "a": "window_of_dropped_utterance",
        "b": "utterance_wer",
        "c": "window_of_dropped_utterance",
    }
    assert details["c"] == "with b: utterance_wer"


def test_a_takedown_drops_the_whole_window() -> None:
    rows = [pack(speaker_id="bob")]
    _, reasons, _ = filtered(rows, Filter(takedown=Takedown(speakers=("bob",))))
    assert reasons["b"] == "takedown"
    kept, reasons, _ = filtered(
        rows, Filter(unit="utterance", takedown=Takedown(speakers=("bob",)))
    )
    assert (kept, reasons) == ([["a", "c"]], {"b": "takedown"})


@pytest.mark.parametrize("asked", [{}, {"drop_empty_reference": False}])
def test_an_utterance_without_a_reference_from_its_corpus_is_always_dropped(
    asked: dict[str, bool],
) -> None:
    rows = [pack(no_reference="music: <MUSIC>", **SILENT), evidence("d")]
    kept, reasons, details = filtered(rows, Filter(**asked))
    assert kept == [["d"]]
    assert (reasons["b"], details["b"]) == ("no_reference", "music: <MUSIC>")
    assert details["a"] == "with b: no_reference"
    kept, reasons, _ = filtered(rows, Filter(unit="utterance", **asked))
    assert (kept, reasons) == ([["a", "c"], ["d"]], {"b": "no_reference"})


def test_a_window_is_cut_down_to_its_good_utterances() -> None:
    rows = [pack(wer_percent=60.0, token_start=5, token_end=7, pseudo_text="bad")]
    rows[0]["utterances"][2] |= {"token_start": 7, "token_end": 9, "duration_s": 1.5}
    rows[0]["zero_time_id"] = 40
    outcomes = list(filter_shard(table(rows), Filter(unit="utterance"), KNOWN))
    [batch] = [one for one in outcomes if isinstance(one, pa.RecordBatch)]
    assert batch.to_pylist() == [
        {
            "window_id": "w",
            "utterance_ids": ["a", "c"],
            "duration_s": 3.5,
            "cut": {
                "pseudo_text": "A a A c",
                "num_prompt_tokens": 3,
                "zero_time_id": 40,
                "token_spans": [[3, 5], [7, 9]],
            },
        }
    ]


def test_whole_and_cut_windows_keep_their_order() -> None:
    rows = [{**pack(wer_percent=60.0), "window_id": "z"}, evidence("m"), evidence("k", 90.0)]
    kept, _, _ = filtered(rows, Filter(unit="utterance"))
    assert kept == [["a", "c"], ["m"]]


@pytest.mark.parametrize(
    ("doubts", "bad", "kept", "ambiguous"),
    [
        ("....", "b", ["a", "c", "d"], []),
        ("x...", "b", ["c", "d"], ["a"]),
        (".x..", "b", ["a", "d"], ["c"]),
        ("xx..", "b", ["d"], ["a", "c"]),
        ("xxx.", "b", [], ["a", "c", "d"]),
        ("..x.", "b", ["a", "c", "d"], []),  # both are kept, so nothing is cut there
        ("xxx.", "", ["a", "b", "c", "d"], []),
    ],
)
def test_utterances_with_ambiguous_boundaries_are_dropped_with_their_neighbour(
    doubts: str, bad: str, kept: list[str], ambiguous: list[str]
) -> None:
    members = [
        utterance(name, 90.0 if name == bad else 0.0, is_end_ambiguous=doubt == "x")
        for name, doubt in zip("abcd", doubts, strict=True)
    ]
    found, reasons, _ = filtered([evidence("w", 5.0, members)], Filter(unit="utterance"))
    assert found == ([kept] if kept else [])
    assert [name for name, one in reasons.items() if one == "ambiguous_boundary"] == ambiguous
    assert reasons.get("b") == ("wer" if bad else None)


def test_a_dropped_window_drops_all_its_utterances() -> None:
    rows = [{**pack(), "flags": ["no_end"]}]
    settings = Filter(unit="utterance", hallucination=Hallucination(flags=("no_end",)))
    assert set(filtered(rows, settings)[1].values()) == {"flagged"}


def test_no_row_is_lost_or_duplicated_in_a_sliced_table() -> None:
    rows = [evidence(f"u{place}", 99.0 if place % 3 else 0.0) for place in range(30)]
    part = table(rows).slice(7, 12)
    for unit in ("window", "utterance"):
        outcomes = list(filter_shard(part, Filter(unit=unit), KNOWN))
        names = [one.id for one in outcomes if isinstance(one, Rejected)] + [
            name
            for one in outcomes
            if isinstance(one, pa.RecordBatch)
            for name in one.column("window_id").to_pylist()
        ]
        assert sorted(names) == sorted(f"u{place}" for place in range(7, 19))


def test_reasons_are_in_the_documented_order() -> None:
    everything = Filter(
        max_utterance_wer_percent=50.0,
        drop_upper_case=True,
        max_duration_s=30.0,
        languages=("en",),
        max_foreign_percent=50.0,
        rights=("derivatives",),
        hallucination=HALLUCINATION,
        takedown=Takedown(ids=("a",)),
    )
    assert list(dict.fromkeys(rule.reason for rule in rules(everything, NARROW))) == [
        "licence",
        "takedown",
        "language",
        "no_reference",
        "empty_reference",
        "empty_hypothesis",
        "too_long",
        "flagged",
        "repetition",
        "speech_rate",
        "upper_case",
        "wer",
        "utterance_wer",
    ]
