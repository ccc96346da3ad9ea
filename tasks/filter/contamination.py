"""Speech that is measured on must not be learnt from: the same words in a row, or the same sound.

Knows texts and digests; where the index of the evaluation splits is kept, others know.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from configs.schema import Contamination
from tasks.filter.rule import Row, Rule

_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that no place in a row of words loses a bit; two to the 64 over the golden ratio."""

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationIndex:
    """The utterances of the evaluation splits: names such as `corpus/split id`, texts, digests.

    `grams` are the rising hashes of their runs of words, each with the place of its utterance.
    """

    names: Sequence[str]
    grams: Hashes
    gram_places: Places
    by_sound: Mapping[bytes, int]

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        texts: Sequence[str | None],
        sounds: Sequence[bytes],
        ngram_words: int | None,
    ) -> "EvaluationIndex":
        """The index of utterances; without `ngram_words` of their sounds alone."""
        hashes, places = grams([text or "" for text in texts], ngram_words or 0)
        grams_once, first = np.unique(hashes, return_index=True)
        return cls(
            names=names,
            grams=grams_once,
            gram_places=places[first],
            by_sound={sound: place for place, sound in enumerate(sounds)},
        )

    def name_of_text(self, text: str, ngram_words: int) -> str:
        """The first evaluation utterance that shares a run of words with a text that is found."""
        hashes, _ = grams([text], ngram_words)
        found = hashes[np.isin(hashes, self.grams)][0]
        return self.names[int(self.gram_places[np.searchsorted(self.grams, found)])]


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The speech to measure on, and the digest of the sound of each utterance that is asked."""

    index: EvaluationIndex
    sounds: Mapping[str, bytes]


def grams(texts: Sequence[str], num_words: int) -> tuple[Hashes, Places]:
    """A hash of 64 bits for each run of so many words in a text, and the place of that text."""
    words = [text.split() for text in texts]
    flat = np.array([_hash(word) for many in words for word in many], np.uint64)
    num_starts = np.array([max(0, len(many) - num_words + 1) for many in words], np.int64)
    if not num_words or not num_starts.sum():
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    lengths = np.array([len(many) for many in words], np.int64)
    places = np.repeat(np.arange(len(texts)), num_starts)
    begins = np.cumsum(lengths) - lengths
    first_of_text = np.cumsum(num_starts) - num_starts
    starts = begins[places] + np.arange(len(places)) - first_of_text[places]
    hashes = np.zeros(len(starts), np.uint64)
    for offset in range(num_words):
        hashes = hashes * _FACTOR + flat[starts + offset]
    return hashes, places


@functools.lru_cache(maxsize=1 << 18)
def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")


def contamination_rules(settings: Contamination, evaluated: Evaluated) -> Iterator[Rule]:
    """The rules that `settings` ask for, both with the reason `contamination`."""
    index = evaluated.index
    if settings.audio:
        yield _same_sound(index, evaluated.sounds)
    if settings.ngram_words is not None:
        yield _same_words(index, settings.ngram_words)


def _same_sound(index: EvaluationIndex, sounds: Mapping[str, bytes]) -> Rule:
    known = index.by_sound

    def is_known(ids: pa.ChunkedArray) -> pa.Array:
        return pa.array((sounds[name] in known for name in ids.to_pylist()), pa.bool_())

    return Rule(
        reason="contamination",
        of="utterance",
        asks=("id",),
        drops=lambda rows: pa.chunked_array([is_known(rows.column("id"))]),
        detail=lambda row: f"sounds as {index.names[known[sounds[row['id']]]]}",
    )


def _same_words(index: EvaluationIndex, num_words: int) -> Rule:
    def drops(rows: pa.Table) -> pa.ChunkedArray:
        hashes, places = grams(rows.column("reference").to_pylist(), num_words)
        found = np.zeros(rows.num_rows, np.bool_)
        found[places[np.isin(hashes, index.grams)]] = True
        return pa.chunked_array([pa.array(found)])

    def detail(row: Row) -> str:
        name = index.name_of_text(row["reference"], num_words)
        return f"shares {num_words} words in a row with {name}"

    return Rule(
        reason="contamination", of="utterance", asks=("reference",), drops=drops, detail=detail
    )
