"""Contamination: training speech that also occurs in an evaluation split, by words or audio."""

import random

import numpy as np
import pyarrow as pa
import pytest

from configs.schema import Contamination, Filter
from storage.outcome import Rejected
from tasks.filter.contamination import EvaluationIndex, EvaluationSpeech, grams
from tasks.filter.rules import FilterContext
from tasks.filter.shard import filter_shard
from tests.tasks.filter.evidence_rows import FREE, evidence, table, utterance

HELD_OUT = {
    "libri/test 1": "the boat was very small and we lost it",
    "libri/test 2": "mister brown saw two horses",
    "ami/dev 3": None,
}
DIGESTS = {"libri/test 1": b"1" * 16, "libri/test 2": b"2" * 16, "ami/dev 3": b"3" * 16}


def known(ngram_words: int | None = 5, **digests: bytes) -> FilterContext:
    index = EvaluationIndex.of(
        list(HELD_OUT), list(HELD_OUT.values()), list(DIGESTS.values()), ngram_words
    )
    return FilterContext(
        licence=FREE, evaluated=EvaluationSpeech(index=index, audio_digests=digests)
    )


def dropped(rows: list[dict], settings: Contamination, known: FilterContext) -> dict[str, str]:
    outcomes = filter_shard(table(rows), Filter(contamination=settings), known)
    rejected = [one for one in outcomes if isinstance(one, Rejected)]
    assert {one.reason for one in rejected} <= {"contamination", "window_of_dropped_utterance"}
    return {one.id: one.detail for one in rejected}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("so the boat was very small", "shares 5 consecutive words with libri/test 1"),
        ("mister brown saw two horses", "shares 5 consecutive words with libri/test 2"),
        ("mister brown saw two", ""),
        ("horses two saw brown mister", ""),
        ("it mister brown saw two", ""),  # n-grams do not cross the end of an utterance
        ("", ""),
    ],
)
def test_shared_consecutive_words_are_found(text: str, found: str) -> None:
    settings = Contamination(ngram_words=5, audio=False)
    rows = [evidence("a", reference=text), evidence("b")]
    assert dropped(rows, settings, known()) == ({"a": found} if found else {})


def test_equal_audio_is_found_whatever_its_text() -> None:
    settings = Contamination(ngram_words=None)
    digests = {"a": b"3" * 16, "b": b"x" * 16}
    rows = [evidence("a", reference="another text"), evidence("b")]
    assert dropped(rows, settings, known(None, **digests)) == {"a": "same audio as ami/dev 3"}


def test_an_utterance_in_a_window_is_found_by_its_own_text() -> None:
    members = [utterance("a"), utterance("b", reference="two horses and the boat was very small")]
    settings = Contamination(ngram_words=5, audio=False)
    found = dropped([evidence("w", utterances=members)], settings, known())
    assert found == {
        "a": "with b: contamination",
        "b": "shares 5 consecutive words with libri/test 1",
    }


def test_hashes_are_equal_for_equal_ngrams() -> None:
    chance = random.Random(0)
    texts = [" ".join(chance.choices("abc", k=chance.randint(0, 9))) for _ in range(300)]
    for num_words in (1, 2, 4):
        hashes, places = grams(texts, num_words)
        runs = [
            tuple(words[start : start + num_words])
            for words in map(str.split, texts)
            for start in range(len(words) - num_words + 1)
        ]
        assert len(runs) == len(hashes)
        assert len(set(runs)) == len(np.unique(hashes))
        assert len(dict(zip(hashes.tolist(), runs, strict=True))) == len(set(runs))
        counts = np.bincount(places, minlength=len(texts)).tolist()
        assert counts == [max(0, len(text.split()) - num_words + 1) for text in texts]


def test_without_evaluation_speech_nothing_is_dropped() -> None:
    nothing = EvaluationIndex.of([], [], [], 5)
    evaluated = EvaluationSpeech(index=nothing, audio_digests={"a": b"1" * 16})
    rows = [evidence("a", reference="mister brown saw two horses")]
    assert dropped(rows, Contamination(), FilterContext(licence=FREE, evaluated=evaluated)) == {}
    outcomes = list(filter_shard(table(rows), Filter(), KNOWN_NOTHING))
    assert isinstance(outcomes[0], pa.RecordBatch)


KNOWN_NOTHING = FilterContext(licence=FREE)
