"""What a listener asks for, and which rows are found."""

from typing import Any

import pytest
from pydantic import ValidationError

from flows.browse.query import Query, Slice, UtteranceIndex
from tests.flows.browse.tables import index_of, utterance

DROPPED = {"outcome": "dropped", "reason": "wer"}
INDEX = UtteranceIndex(
    index_of(
        utterance("a", wer_percent=5.0, speaker_id="Ann", insertions=1),
        utterance("b", wer_percent=50.0, raw_text="GRÜSSE aus (Bern)", label=None, **DROPPED),
        utterance("c", wer_percent=None, corpus="tedlium", avg_logprob=-0.9, insertions=None),
        utterance("d", wer_percent=120.0, insertions=7, duration_s=9.0, **DROPPED),
        utterance("e", outcome="quarantined", reason="no_audio", wer_percent=None, file=None),
    )
)


def found(marked: Any = None, **asked: Any) -> str:
    rows = INDEX.find(Query.model_validate(asked), marked or {})
    return "".join(row["id"] for row in INDEX.shown(rows, {}))


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        ({}, "abcde"),
        ({"corpus": "tedlium"}, "c"),
        ({"outcome": "dropped"}, "bd"),
        ({"outcome": "dropped", "corpus": "tedlium"}, ""),
        ({"reason": "no_audio"}, "e"),
        ({"min_wer": 5}, "abd"),
        ({"min_wer": "5.5", "max_wer": 120}, "bd"),
        ({"text": "  words OF "}, "acde"),
        ({"text": "grüsse aus (b"}, "b"),
        ({"text": "ANN"}, "a"),
        ({"text": "^.*$"}, ""),
        ({"sort": "wer"}, "dbace"),
        ({"sort": "insertions"}, "dabec"),
        ({"sort": "confidence"}, "cabde"),
        ({"sort": "longest", "outcome": "dropped"}, "db"),
    ],
)
def test_rows_are_found_and_sorted(asked: dict[str, Any], ids: str) -> None:
    assert found(**asked) == ids
    assert found(**asked) == ids  # from the cache


def test_rows_are_found_by_their_marks() -> None:
    marked = {1: "keep", 0: "exclude"}
    assert found(marked, mark="any") == "ab"
    assert found(marked, mark="keep") == "b"
    assert found({3: "keep"}, mark="keep", outcome="dropped") == "d"
    assert found({}, mark="any") == ""


@pytest.mark.parametrize("asked", [{"sort": "id"}, {"min_wer": "many"}, {"file": "x"}])
def test_an_invalid_query_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Query.model_validate(asked)
    with pytest.raises(ValidationError):
        Slice(limit=100_000)


def test_a_row_shows_its_label_or_else_its_transcript() -> None:
    rows = INDEX.shown(INDEX.find(Query(), {}), {1: "keep"})
    assert [row["text"] for row in rows[:2]] == ["words of a", "GRÜSSE aus (Bern)"]
    assert [row["mark"] for row in rows[:2]] == [None, "keep"]
    assert [row["row"] for row in rows] == [0, 1, 2, 3, 4]


def test_marks_are_those_of_an_utterance_or_its_window() -> None:
    shared = {"window_id": "w", "window_utterances": 2}
    index = UtteranceIndex(
        index_of(utterance("a", **shared), utterance("b", **shared), utterance("a", corpus="x"))
    )
    assert index.rows_of({("ami", "w"): "exclude", ("ami", "b"): "keep"}) == {
        0: "exclude",
        1: "keep",
    }
    assert index.rows_of({("x", "a"): "keep", ("x", "gone"): "keep"}) == {2: "keep"}
    assert index.window(index.row(0)) == [0, 1]


def test_reasons_are_counted_by_corpus() -> None:
    counts = {
        (one["corpus"], one["outcome"], one["reason"]): one["count_all"] for one in INDEX.counts()
    }
    assert counts == {
        ("ami", "dropped", "wer"): 2,
        ("ami", "kept", ""): 1,
        ("ami", "quarantined", "no_audio"): 1,
        ("tedlium", "kept", ""): 1,
    }
