"""Text as Whisper's authors compare it, and the counting of the words and characters that differ.

Knows strings only; knows no corpus, no table and no threshold.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import jiwer

NORMALISER_VERSION: Final = 1
"""Raised when a normaliser gives another text than before, by our change or by a library's."""


@functools.cache
def normaliser(name: Literal["english", "basic"]) -> Callable[[str], str]:
    """One of the two normalisers of the Whisper paper (arXiv 2212.04356, appendix C).

    The name alone decides: a language is a setting of the teacher and never changes what counts
    as the same words. The English one spells as in American English, writes numbers in digits and
    contractions in full; the basic one strips case and punctuation, for all other languages.
    The code is that of transformers, with which the figures of Distil-Whisper were made; it comes
    without the table of spellings, which is in the package whisper-normalizer.
    """
    # these imports take a second, and most commands normalise nothing
    from transformers.models.whisper import english_normalizer as whisper

    if name == "basic":
        plain: Callable[[str], str] = whisper.BasicTextNormalizer()
    else:
        from whisper_normalizer.english import EnglishSpellingNormalizer

        make: Callable[[dict[str, str]], Callable[[str], str]] = whisper.EnglishTextNormalizer
        plain = make(EnglishSpellingNormalizer().mapping)
    return lambda text: plain(text).strip()


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
    filled = _filled(references, hypotheses)
    counted = [WordErrors(insertions=len(hypothesis.split())) for hypothesis in hypotheses]
    if filled:
        output = jiwer.process_words(
            [references[place] for place in filled], [hypotheses[place] for place in filled]
        )
        for place, chunks in zip(filled, output.alignments, strict=True):
            counted[place] = _word_errors(chunks)
    return counted


def character_error_percents(
    references: Sequence[str], hypotheses: Sequence[str]
) -> list[float | None]:
    """The character error rate of each pair, spaces counted as characters; None without reference.

    Raises `ValueError` when there are not as many references as hypotheses.
    """
    filled = _filled(references, hypotheses)
    percents: list[float | None] = [None] * len(references)
    if filled:
        output = jiwer.process_characters(
            [references[place] for place in filled], [hypotheses[place] for place in filled]
        )
        for place, chunks in zip(filled, output.alignments, strict=True):
            # what holds for words holds for characters
            percents[place] = _word_errors(chunks).wer_percent
    return percents


def _filled(references: Sequence[str], hypotheses: Sequence[str]) -> list[int]:
    """The places of the references that have words: an aligner refuses the others."""
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references for {len(hypotheses)} hypotheses")
    return [place for place, reference in enumerate(references) if reference.split()]


def _word_errors(chunks: Sequence[jiwer.AlignmentChunk]) -> WordErrors:
    lengths = {"equal": 0, "substitute": 0, "delete": 0, "insert": 0}
    for chunk in chunks:
        in_reference = chunk.ref_end_idx - chunk.ref_start_idx
        in_hypothesis = chunk.hyp_end_idx - chunk.hyp_start_idx
        lengths[chunk.type] += in_hypothesis if chunk.type == "insert" else in_reference
    return WordErrors(
        hits=lengths["equal"],
        substitutions=lengths["substitute"],
        deletions=lengths["delete"],
        insertions=lengths["insert"],
    )
