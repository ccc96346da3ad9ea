"""A cache for Whisper's English normaliser that gives the same result for every text.

The normaliser applies some fifty patterns to each text. Nearly all of them look at single words, so
the results are cached by word. Numbers span several words and are cached by run of words. Texts
with patterns across words are passed to the normaliser as a whole.
"""

import re
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

_MARK: Final = "\0"
"""Marks each word of a number while a text is assembled."""

_MAX_CACHED: Final = 1 << 18  # cached words or runs: at most about 50 MB
_BRACKET: Final = re.compile(r"[<\[(]")
_PERFECT: Final = re.compile(r"'(?:[ds] (?:been|gone)|d done|s got)\b")
_AND_A_HALF: Final = re.compile(r"\band\s+a\s+half\b")
_RUN: Final = re.compile(rf"{_MARK}\S+(?: {_MARK}\S+)*")
# digits, signs around them, and endings that are joined to a preceding digit
_NUMERIC: Final = re.compile(r"[\d.%$¢€£]|^(?:st|nd|rd|th|s)\b")
_SIGN: Final = re.compile(r"[.%$¢€£]")

Normalise = Callable[[str], str]


class _Cache(dict[str, str]):
    """Caches a function of a text; cleared when it is full."""

    def __init__(self, make: Normalise) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, text: str) -> str:
        if len(self) >= _MAX_CACHED:
            self.clear()
        result = self[text] = self._make(text)
        return result


class EnglishNormaliser:
    """An `EnglishTextNormalizer` of transformers with a cache by word.

    Gives the same text, stripped. Thread-safe.
    """

    def __init__(self, make_whole: Callable[[], Any]) -> None:
        """`make_whole` creates a normaliser; a second one is stripped down to its first half."""
        self._whole = make_whole()
        self._numbers: Normalise = self._whole.standardize_numbers
        self._spelling: dict[str, str] = self._whole.standardize_spellings.mapping
        self._ignored = re.compile(self._whole.ignore_patterns)
        self._first_half = make_whole()
        self._first_half.standardize_numbers = self._catch
        self._caught: list[str] = []
        self._catching = Lock()
        self._words = _Cache(self._word)
        self._runs = _Cache(self._run)

    def __call__(self, text: str) -> str:
        """The normalised text."""
        lowered = text.lower()
        if _MARK in lowered:
            return self._as_a_whole(text)
        if _BRACKET.search(lowered):
            lowered = re.sub(r"[<\[][^>\]]*[>\]]", "", lowered)
            lowered = re.sub(r"\(([^)]+?)\)", "", lowered)
        if "'" in lowered:
            # an apostrophe is joined to the word before it, across ignored words
            lowered = re.sub(r"\s+'", "'", self._ignored.sub("", lowered))
            if _PERFECT.search(lowered):
                return self._as_a_whole(text)
        cache = self._words
        result = " ".join([words for word in lowered.split() if (words := cache[word])])
        if _MARK not in result:
            return result
        if "half" in result and _AND_A_HALF.search(result.replace(_MARK, "")):
            return self._as_a_whole(text)
        result = _RUN.sub(lambda run: self._runs[run[0]], result)
        if _SIGN.search(result):
            result = re.sub(r"[.$¢€£]([^0-9])", r" \1", result)
            result = re.sub(r"([^0-9])%", r"\1 ", result)
        return " ".join(result.split())

    def _as_a_whole(self, text: str) -> str:
        normalised: str = self._whole(text)
        return normalised.strip()

    def _word(self, word: str) -> str:
        """The words that one word becomes, in American spelling; words of numbers are marked."""
        with self._catching:
            self._first_half(word)
            words = self._caught.pop().split()
        if any(
            one in self._whole.standardize_numbers.words or _NUMERIC.search(one) for one in words
        ):
            return " ".join(f"{_MARK}{one}" for one in words)
        return " ".join(self._spelling.get(one, one) for one in words)

    def _catch(self, words: str) -> str:
        """Replaces the conversion of numbers, to catch the output of the first half."""
        self._caught.append(words)
        return ""

    def _run(self, run: str) -> str:
        """A run of marked words with its numbers converted."""
        words = self._numbers(run.replace(_MARK, "")).split()
        return " ".join(self._spelling.get(one, one) for one in words)
