"""Text normalisation as in the Whisper paper, word errors and character error rates."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

from configs.schema import Label, Score
from tasks.importing import import_transformers

NORMALISER_VERSION: Final = 1
"""Raised when a normaliser gives another text than before, because of us or of a library."""

WITHOUT_SPACES: Final = frozenset({"zh", "yue", "ja", "th", "lo", "my"})
"""Languages without spaces between words, which are compared letter by letter."""

Normaliser = Literal["english", "basic", "letters"]
Counts = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How texts are compared: the normaliser, and the language of the texts."""

    normaliser: Normaliser
    language: str

    @property
    def has_spaces(self) -> bool:
        """Whether words are separated by spaces; otherwise each letter counts as a word."""
        return self.language not in WITHOUT_SPACES


def comparison_of(score: Score, label: Label) -> Comparison:
    """The comparison of a run: `score.normaliser`, or by the language of its labels.

    `auto` is `english` for English labels, translations included. Languages `WITHOUT_SPACES` are
    split into letters, so that their word error rate is a character error rate, as in the Whisper
    paper (arXiv 2212.04356, appendix C). All others use `basic`.
    """
    language = "en" if label.task == "translate" else label.language
    if score.normaliser != "auto":
        return Comparison(score.normaliser, language)
    if language == "en":
        return Comparison("english", language)
    return Comparison("letters" if language in WITHOUT_SPACES else "basic", language)


@functools.cache
def normaliser(name: Normaliser) -> Callable[[str], str]:
    """One of the normalisers of the Whisper paper (arXiv 2212.04356, appendix C).

    `english` uses American spelling, digits for numbers and expanded contractions. `basic` removes
    case and punctuation. `letters` also puts a space between all letters. The code is that of
    transformers, which the authors of Distil-Whisper used; its table of spellings comes from the
    package whisper-normalizer.
    """
    # importing them takes a second, and most commands normalise nothing
    import_transformers()
    from transformers.models.whisper import english_normalizer as whisper

    if name == "english":
        from whisper_normalizer.english import EnglishSpellingNormalizer

        from tasks.text.english import EnglishNormaliser

        spellings: dict[str, str] = EnglishSpellingNormalizer().mapping
        return EnglishNormaliser(lambda: whisper.EnglishTextNormalizer(spellings))
    plain = whisper.BasicTextNormalizer(split_letters=name == "letters")
    return lambda text: str(plain(text)).strip()


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Word errors of a hypothesis against its reference; adds up over utterances."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def num_reference_words(self) -> int:
        """Hits, substitutions and deletions."""
        return self.hits + self.substitutions + self.deletions

    @property
    def wer_percent(self) -> float | None:
        """Word error rate, above 100 with many insertions; None without reference words."""
        if self.num_reference_words == 0:
            return None
        errors = self.substitutions + self.deletions + self.insertions
        return 100 * errors / self.num_reference_words

    def __add__(self, other: "WordErrors") -> "WordErrors":
        return WordErrors(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


def count_word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> list[WordErrors]:
    """The word errors of each pair, from a Levenshtein alignment.

    With an empty reference all words are insertions. Raises `ValueError` if the numbers of
    references and hypotheses differ.
    """
    return [WordErrors(*row) for row in word_edits(references, hypotheses).tolist()]


def word_edits(references: Sequence[str], hypotheses: Sequence[str]) -> Counts:
    """`count_word_errors` as an array: (pairs, 4) int32, the fields of `WordErrors` in order.

    Of several optimal alignments it uses the one that jiwer uses.
    """
    _refuse_unequal(references, hypotheses)
    counted = np.zeros((len(references), 4), np.int32)
    for row, reference, hypothesis in zip(counted, references, hypotheses, strict=True):
        expected = reference.split()
        if reference == hypothesis:
            row[0] = len(expected)
            continue
        words = hypothesis.split()
        num_replaced = num_deleted = 0
        for one in Levenshtein.opcodes(expected, words):
            if one.tag == "replace":
                num_replaced += one.src_end - one.src_start
            elif one.tag == "delete":
                num_deleted += one.src_end - one.src_start
        num_hits = len(expected) - num_replaced - num_deleted
        row[:] = num_hits, num_replaced, num_deleted, len(words) - num_hits - num_replaced
    return counted


def character_error_percents(
    references: Sequence[str], hypotheses: Sequence[str]
) -> npt.NDArray[np.float64]:
    """The character error rate of each pair, with spaces; NaN for an empty reference.

    Raises `ValueError` if the numbers of references and hypotheses differ.
    """
    num_chars, edits = character_edits(references, hypotheses)
    percents: npt.NDArray[np.float64] = 100 * edits / np.where(num_chars > 0, num_chars, np.nan)
    return percents


def character_edits(references: Sequence[str], hypotheses: Sequence[str]) -> tuple[Counts, Counts]:
    """The characters of each reference, and the edits to its hypothesis, both with spaces.

    Raises `ValueError` if the numbers of references and hypotheses differ.
    """
    _refuse_unequal(references, hypotheses)
    edits = list(map(Levenshtein.distance, references, hypotheses))
    return np.array(list(map(len, references)), np.int32), np.array(edits, np.int32)


def _refuse_unequal(references: Sequence[str], hypotheses: Sequence[str]) -> None:
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references for {len(hypotheses)} hypotheses")
