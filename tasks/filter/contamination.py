"""Rules against training on evaluation speech: shared word n-grams and equal audio."""

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
"""Multiplier of a polynomial hash: odd, so invertible; 2^64 divided by the golden ratio."""

Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationIndex:
    """The utterances of the evaluation splits.

    `names`: such as `corpus/split id`. `grams`: sorted hashes of their word n-grams; `gram_places`:
    the index of the utterance of each. `by_audio`: audio digest to index of the utterance.
    """

    names: Sequence[str]
    grams: Hashes
    gram_places: Places
    by_audio: Mapping[bytes, int]

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        texts: Sequence[str | None],
        audio_digests: Sequence[bytes],
        ngram_words: int | None,
    ) -> "EvaluationIndex":
        """Build the index; without `ngram_words` it has audio digests only."""
        hashes, places = grams([text or "" for text in texts], ngram_words or 0)
        grams_once, first = np.unique(hashes, return_index=True)
        return cls(
            names=names,
            grams=grams_once,
            gram_places=places[first],
            by_audio={digest: index for index, digest in enumerate(audio_digests)},
        )

    def name_of_text(self, text: str, ngram_words: int) -> str:
        """The evaluation utterance that shares the first matching n-gram of `text`."""
        hashes, _ = grams([text], ngram_words)
        match = hashes[np.isin(hashes, self.grams)][0]
        return self.names[int(self.gram_places[np.searchsorted(self.grams, match)])]


@dataclass(frozen=True, kw_only=True)
class EvaluationSpeech:
    """The evaluation index, and the audio digests of the utterances to check, by id."""

    index: EvaluationIndex
    audio_digests: Mapping[str, bytes]


def grams(texts: Sequence[str], num_words: int) -> tuple[Hashes, Places]:
    """The 64-bit hash of each n-gram of `num_words` words, and the index of its text."""
    words = [text.split() for text in texts]
    flat = np.array([_hash(word) for one in words for word in one], np.uint64)
    num_starts = np.array([max(0, len(one) - num_words + 1) for one in words], np.int64)
    if not num_words or not num_starts.sum():
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    lengths = np.array([len(one) for one in words], np.int64)
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


def contamination_rules(settings: Contamination, evaluated: EvaluationSpeech) -> Iterator[Rule]:
    """The rules that are turned on by `settings`, with the reason `contamination`."""
    index = evaluated.index
    if settings.audio:
        yield _same_audio(index, evaluated.audio_digests)
    if settings.ngram_words is not None:
        yield _same_words(index, settings.ngram_words)


def _same_audio(index: EvaluationIndex, digests: Mapping[str, bytes]) -> Rule:
    known = index.by_audio

    def is_known(ids: pa.ChunkedArray) -> pa.Array:
        return pa.array((digests[name] in known for name in ids.to_pylist()), pa.bool_())

    return Rule(
        reason="contamination",
        level="utterance",
        columns=("id",),
        drops=lambda rows: pa.chunked_array([is_known(rows.column("id"))]),
        detail=lambda row: f"same audio as {index.names[known[digests[row['id']]]]}",
    )


def _same_words(index: EvaluationIndex, num_words: int) -> Rule:
    def drops(rows: pa.Table) -> pa.ChunkedArray:
        hashes, places = grams(rows.column("reference").to_pylist(), num_words)
        is_dropped = np.zeros(rows.num_rows, np.bool_)
        is_dropped[places[np.isin(hashes, index.grams)]] = True
        return pa.chunked_array([pa.array(is_dropped)])

    def detail(row: Row) -> str:
        name = index.name_of_text(row["reference"], num_words)
        return f"shares {num_words} consecutive words with {name}"

    return Rule(
        reason="contamination",
        level="utterance",
        columns=("reference",),
        drops=drops,
        detail=detail,
    )
