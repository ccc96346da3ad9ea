"""Text as Whisper's authors compare it, and the counting of the words and characters that differ.

Knows strings only; knows no corpus, no table and no threshold.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

from configs.schema import Label, Score

NORMALISER_VERSION: Final = 1
"""Raised when a normaliser gives another text than before, by our change or by a library's."""

WITHOUT_SPACES: Final = frozenset({"zh", "yue", "ja", "th", "lo", "my"})
"""Languages that write no spaces between words: their letters are compared, one by one."""

Normaliser = Literal["english", "basic", "letters"]
Counts = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How texts are compared: by which normaliser, and the language that they are written in."""

    normaliser: Normaliser
    language: str

    @property
    def has_spaces(self) -> bool:
        """Whether words are what stands between spaces; else each letter counts as one."""
        return self.language not in WITHOUT_SPACES


def comparison_of(score: Score, label: Label) -> Comparison:
    """How a run compares: by `score.normaliser`, or by what its labels are written in.

    English has the English one, whoever names the language; a translation is English. Languages
    `WITHOUT_SPACES` have every letter stand as a word, so that their word error rate is one of
    characters, as in the Whisper paper (arXiv 2212.04356, appendix C); all others the basic one.
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

    The English one spells as in American English, writes numbers in digits and contractions in
    full; `basic` strips case and punctuation, and `letters` puts a space between all letters too.
    The code is that of transformers, with which the figures of Distil-Whisper were made; it comes
    without the table of spellings, which is in the package whisper-normalizer.
    """
    # these imports take a second, and most commands normalise nothing
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
    """How a hypothesis differs from its reference, in words; adds up over utterances."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def num_reference_words(self) -> int:
        """Every word of a reference is hit, substituted or deleted."""
        return self.hits + self.substitutions + self.deletions

    @property
    def wer_percent(self) -> float | None:
        """Word error rate, above 100 where much is inserted; None without reference words."""
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
    """The errors of each pair, from the alignment of least edits (Levenshtein, by words).

    All words of a hypothesis count as inserted where the reference is empty. Raises `ValueError`
    when there are not as many references as hypotheses.
    """
    return [WordErrors(*row) for row in word_edits(references, hypotheses).tolist()]


def word_edits(references: Sequence[str], hypotheses: Sequence[str]) -> Counts:
    """What `count_word_errors` counts, as (pairs, 4) int32: the fields of `WordErrors` in order.

    Of several alignments of least edits it is the one that jiwer counts. Raises as it does.
    """
    _refuse_unequal(references, hypotheses)
    counted = np.zeros((len(references), 4), np.int32)
    for row, reference, hypothesis in zip(counted, references, hypotheses, strict=True):
        expected = reference.split()
        if reference == hypothesis:
            row[0] = len(expected)
            continue
        heard = hypothesis.split()
        num_replaced = num_deleted = 0
        for one in Levenshtein.opcodes(expected, heard):
            if one.tag == "replace":
                num_replaced += one.src_end - one.src_start
            elif one.tag == "delete":
                num_deleted += one.src_end - one.src_start
        num_hits = len(expected) - num_replaced - num_deleted
        row[:] = num_hits, num_replaced, num_deleted, len(heard) - num_hits - num_replaced
    return counted


def character_error_percents(
    references: Sequence[str], hypotheses: Sequence[str]
) -> npt.NDArray[np.float64]:
    """The character error rate of each pair, spaces counted as characters; NaN without reference.

    Raises `ValueError` when there are not as many references as hypotheses.
    """
    _refuse_unequal(references, hypotheses)
    # the rate needs only how many edits there are, not which
    edits = np.array(list(map(Levenshtein.distance, references, hypotheses)), np.float64)
    lengths = np.array(list(map(len, references)), np.float64)
    return 100 * edits / np.where(lengths > 0, lengths, np.nan)


def _refuse_unequal(references: Sequence[str], hypotheses: Sequence[str]) -> None:
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references for {len(hypotheses)} hypotheses")
