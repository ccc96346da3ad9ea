"""Which words and which tokens of a window's label belong to which of its utterances.

Knows texts and tokens; knows no time and no table.
"""

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

from rapidfuzz.distance import Levenshtein

_WORD: Final = re.compile(r"\S+")
_LETTER: Final = re.compile(r"\S")
_BLANKS: Final = "\u0120\u010a\u0109\u010d"
"""How byte-level tokens write blank, line feed, tab and carriage return."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The label is cut before the word `place`; ambiguous: it might as well be cut elsewhere."""

    place: int
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
    heard: str,
    tokens: Sequence[int],
    normalise: Callable[[str], str],
    vocabulary: Sequence[str],
    *,
    has_spaces: bool = True,
) -> list[Span]:
    """The share of each utterance in a label, by the alignment of least edits with `references`.

    `heard` is what `tokens` say, with special tokens; `vocabulary` has each text token by its id in
    the byte-level alphabet. The texts together are all of `heard`; the spans hold tokens of text,
    and the timestamps inside them. Without spaces in the language, each letter is a word.
    """
    words = [match.span() for match in (_WORD if has_spaces else _LETTER).finditer(heard)]
    inner = word_cuts(references, [heard[start:end] for start, end in words], normalise)
    cuts = [Cut(0, False), *inner, Cut(len(words), False)]
    places = text_places(tokens)
    firsts = _first_tokens([vocabulary[tokens[place]] for place in places], heard, words)
    found: list[Span] = []
    for left, right in pairwise(cuts):
        first, last = firsts[left.place], firsts[right.place]
        inside = [] if first is None or last is None else places[first:last]
        at = places[first - 1] + 1 if first else 0
        within = words[left.place : right.place]
        found.append(
            Span(
                text=heard[within[0][0] : within[-1][1]] if within else "",
                token_start=inside[0] if inside else at,
                token_end=inside[-1] + 1 if inside else at,
                is_start_ambiguous=left.is_ambiguous or first is None,
                is_end_ambiguous=right.is_ambiguous or last is None,
            )
        )
    return found


def text_places(tokens: Sequence[int]) -> list[int]:
    """Where in a label the tokens of text are: all ids below those of its special tokens.

    In every vocabulary of Whisper the end token stands behind all text, and the token that a label
    begins with right behind that.
    """
    return [place for place, token in enumerate(tokens) if token < tokens[0] - 1]


def word_cuts(
    references: Sequence[str], words: Sequence[str], normalise: Callable[[str], str]
) -> Iterator[Cut]:
    """Where one utterance ends and the next begins among the words of a label.

    Both sides are normalised word by word, so that it is known which word a compared one is of. A
    cut is right where the edits before and after it add up to the least for the whole; where that
    holds for several places, or where a word that leaves nothing to compare stands at it, it is
    ambiguous and the first of them is given.
    """
    letters: dict[str, str] = {}

    def compared(word: str) -> str:
        """The normalised words of one, a letter for each."""
        return "".join(
            [letters.setdefault(one, chr(len(letters))) for one in _made_of(word, normalise)]
        )

    parts = ["".join(map(compared, reference.split())) for reference in references]
    expected = "".join(parts)
    by_word = [compared(word) for word in words]
    heard = "".join(by_word)
    owners = [place for place, made in enumerate(by_word) for _ in made]
    least = Levenshtein.distance(expected, heard)
    for end in list(accumulate(map(len, parts)))[:-1]:
        places = [
            place
            for place in _possible(end, len(expected), len(heard), least)
            if _edits(expected, heard, end, place, least) == least
        ]
        left = owners[places[0] - 1] if places[0] else -1
        right = owners[places[0]] if places[0] < len(heard) else len(words)
        yield Cut(right, len(places) > 1 or right != left + 1)


@functools.lru_cache(maxsize=1 << 17)
def _made_of(word: str, normalise: Callable[[str], str]) -> tuple[str, ...]:
    """The normalised words of one word by itself."""
    return tuple(normalise(word).split())


def _possible(end: int, num_expected: int, num_heard: int, least: int) -> Iterator[int]:
    """The places at which lengths alone do not ask for more edits than there are."""
    for place in range(max(0, end - least), min(num_heard, end + least) + 1):
        if abs(end - place) + abs((num_expected - end) - (num_heard - place)) <= least:
            yield place


def _edits(expected: str, heard: str, end: int, place: int, least: int) -> int:
    before = Levenshtein.distance(expected[:end], heard[:place], score_cutoff=least)
    if before > least:
        return before
    return before + Levenshtein.distance(expected[end:], heard[place:], score_cutoff=least - before)


def _first_tokens(
    written: Sequence[str], heard: str, words: Sequence[tuple[int, int]]
) -> Sequence[int | None]:
    """For each word, and the end, the text token that begins it; None: no token begins there.

    A token may bring the blank before its word. Without tokens, which not every teacher has, all
    begin at 0.
    """
    if not written or not words:
        return [0] * len(words) + [len(written)]
    inner: list[int | None] = [None] * (len(words) - 1)
    together = "".join(written)
    if len(together.strip(_BLANKS)) == len(heard.encode()):  # else bytes that are no text
        begun = len(together) - len(together.lstrip(_BLANKS))
        at = list(accumulate((len(char.encode()) for char in heard), initial=begun))
        starts = {byte: place for place, byte in enumerate(accumulate(map(len, written)), start=1)}
        for place, ((_, before), (after, _)) in enumerate(pairwise(words)):
            between = range(at[before], at[after] + 1)
            inner[place] = next((starts[byte] for byte in between if byte in starts), None)
    return [0, *inner, len(written)]
