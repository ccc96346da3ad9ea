"""Splits a window's label among its utterances: which words and tokens belong to which.

Deals with texts and tokens; it has no notion of time or tables.
"""

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

from rapidfuzz.distance import Levenshtein

_WORD: Final = re.compile(r"\S+")
_CHARACTER: Final = re.compile(r"\S")
_BLANKS: Final = "\u0120\u010a\u0109\u010d"
"""Space, line feed, tab and carriage return in the byte-level alphabet."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The label is cut before its word number `word`; ambiguous: other cuts are as likely."""

    word: int
    is_ambiguous: bool


@dataclass(frozen=True, slots=True)
class Span:
    """The text and the tokens `[start, end)` of an utterance; whether its two ends are in doubt."""

    text: str
    token_start: int
    token_end: int
    is_start_ambiguous: bool
    is_end_ambiguous: bool


def spans(
    references: Sequence[str],
    label: str,
    tokens: Sequence[int],
    normalise: Callable[[str], str],
    vocabulary: Sequence[str],
    *,
    has_spaces: bool = True,
) -> list[Span]:
    """The part of a label that belongs to each utterance, by minimum-edit alignment.

    `label` is the text of `tokens`, which include special tokens; `vocabulary` maps text token ids
    to strings of the byte-level alphabet. The spans' texts together are all of `label`; their
    tokens are text tokens and the timestamps between them. In a language without spaces each
    character is a word.
    """
    words = [match.span() for match in (_WORD if has_spaces else _CHARACTER).finditer(label)]
    inner = word_cuts(references, [label[start:end] for start, end in words], normalise)
    cuts = [Cut(0, False), *inner, Cut(len(words), False)]
    positions = text_positions(tokens)
    first_tokens = _first_tokens([vocabulary[tokens[at]] for at in positions], label, words)
    result: list[Span] = []
    for left, right in pairwise(cuts):
        first, last = first_tokens[left.word], first_tokens[right.word]
        inside = [] if first is None or last is None else positions[first:last]
        empty_at = positions[first - 1] + 1 if first else 0
        span_words = words[left.word : right.word]
        result.append(
            Span(
                text=label[span_words[0][0] : span_words[-1][1]] if span_words else "",
                token_start=inside[0] if inside else empty_at,
                token_end=inside[-1] + 1 if inside else empty_at,
                is_start_ambiguous=left.is_ambiguous or first is None,
                is_end_ambiguous=right.is_ambiguous or last is None,
            )
        )
    return result


def text_positions(tokens: Sequence[int]) -> list[int]:
    """The positions of text tokens in a label: those with ids below all special tokens'.

    In every Whisper vocabulary the end token follows the text tokens, and the start token, with
    which a label begins, follows the end token.
    """
    return [position for position, token in enumerate(tokens) if token < tokens[0] - 1]


def word_cuts(
    references: Sequence[str], words: Sequence[str], normalise: Callable[[str], str]
) -> Iterator[Cut]:
    """Where one utterance ends and the next begins among the words of a label.

    Both sides are normalised word by word, so that each normalised word can be traced to its
    source. A cut is optimal if the edits before and after it add up to the edit distance of the
    whole. If several cuts are optimal, or if a word that normalises to nothing is adjacent, the cut
    is ambiguous and the first optimal one is returned.
    """
    symbols: dict[str, str] = {}

    def encode(word: str) -> str:
        """The normalised words of a word, one character each."""
        normalised = _normalised_words(word, normalise)
        return "".join([symbols.setdefault(one, chr(len(symbols))) for one in normalised])

    parts = ["".join(map(encode, reference.split())) for reference in references]
    expected = "".join(parts)
    by_word = [encode(word) for word in words]
    actual = "".join(by_word)
    source_words = [number for number, encoded in enumerate(by_word) for _ in encoded]
    distance = Levenshtein.distance(expected, actual)
    for end in list(accumulate(map(len, parts)))[:-1]:
        optimal = [
            cut
            for cut in _candidates(end, len(expected), len(actual), distance)
            if _edits(expected, actual, end, cut, distance) == distance
        ]
        left = source_words[optimal[0] - 1] if optimal[0] else -1
        right = source_words[optimal[0]] if optimal[0] < len(actual) else len(words)
        yield Cut(right, len(optimal) > 1 or right != left + 1)


@functools.lru_cache(maxsize=1 << 17)
def _normalised_words(word: str, normalise: Callable[[str], str]) -> tuple[str, ...]:
    """The words that one word normalises to."""
    return tuple(normalise(word).split())


def _candidates(end: int, num_expected: int, num_actual: int, distance: int) -> Iterator[int]:
    """The cuts that lengths alone do not rule out."""
    for cut in range(max(0, end - distance), min(num_actual, end + distance) + 1):
        if abs(end - cut) + abs((num_expected - end) - (num_actual - cut)) <= distance:
            yield cut


def _edits(expected: str, actual: str, end: int, cut: int, distance: int) -> int:
    """The edits on both sides of a cut; any number above `distance` if they exceed it."""
    before = Levenshtein.distance(expected[:end], actual[:cut], score_cutoff=distance)
    if before > distance:
        return before
    remaining = distance - before
    return before + Levenshtein.distance(expected[end:], actual[cut:], score_cutoff=remaining)


def _first_tokens(
    token_texts: Sequence[str], label: str, words: Sequence[tuple[int, int]]
) -> Sequence[int | None]:
    """For each word, and the end, the text token that starts it; None if no token starts there.

    A token may include the space before its word. Without tokens, which a CTC teacher does not
    produce, all are 0.
    """
    if not token_texts or not words:
        return [0] * len(words) + [len(token_texts)]
    inner: list[int | None] = [None] * (len(words) - 1)
    joined = "".join(token_texts)
    if len(joined.strip(_BLANKS)) == len(label.encode()):  # otherwise some bytes are not text
        num_leading = len(joined) - len(joined.lstrip(_BLANKS))
        byte_at = list(accumulate((len(char.encode()) for char in label), initial=num_leading))
        starts = {
            byte: number for number, byte in enumerate(accumulate(map(len, token_texts)), start=1)
        }
        for number, ((_, before), (after, _)) in enumerate(pairwise(words)):
            gap = range(byte_at[before], byte_at[after] + 1)
            inner[number] = next((starts[byte] for byte in gap if byte in starts), None)
    return [0, *inner, len(token_texts)]
