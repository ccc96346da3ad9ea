"""Whisper's English normaliser at the speed of a dictionary, with the same answer for every text.

The normaliser passes some fifty patterns over each text. Nearly all of them see one word at a time,
so what it makes of a word is kept; only numbers, which it reads over several words, are handed to
it as the runs of words that they are. What depends on more than that is left to it as a whole.
"""

import re
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

_MARK: Final = "\0"
"""Stands before each word of a number while a text is put together."""

_MANY: Final = 1 << 18  # words, or runs of them, that are kept: some 50 MB at most
_BRACKET: Final = re.compile(r"[<\[(]")
_PERFECT: Final = re.compile(r"'(?:[ds] (?:been|gone)|d done|s got)\b")
_AND_A_HALF: Final = re.compile(r"\band\s+a\s+half\b")
_RUN: Final = re.compile(rf"{_MARK}\S+(?: {_MARK}\S+)*")
# digits, what may stand around them, and the endings that are drawn to a digit before them
_NUMERIC: Final = re.compile(r"[\d.%$¢€£]|^(?:st|nd|rd|th|s)\b")
_SIGN: Final = re.compile(r"[.%$¢€£]")

Normalise = Callable[[str], str]


class _Kept(dict[str, str]):
    """What a function gives for each text that it was asked for; forgotten when it is too much."""

    def __init__(self, make: Normalise) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, text: str) -> str:
        if len(self) >= _MANY:
            self.clear()
        made = self[text] = self._make(text)
        return made


class EnglishNormaliser:
    """`whole`, an `EnglishTextNormalizer` of transformers, asked word by word where that is right.

    Calling it gives what `whole` gives, without blanks at the ends. Safe to call from threads.
    """

    def __init__(self, make_whole: Callable[[], Any]) -> None:
        """`make_whole` makes the normaliser; a second one is taken apart for its first half."""
        self._whole = make_whole()
        self._numbers: Normalise = self._whole.standardize_numbers
        self._spelling: dict[str, str] = self._whole.standardize_spellings.mapping
        self._ignored = re.compile(self._whole.ignore_patterns)
        self._first_half = make_whole()
        self._first_half.standardize_numbers = self._catch
        self._caught: list[str] = []
        self._catching = Lock()
        self._words = _Kept(self._word)
        self._runs = _Kept(self._run)

    def __call__(self, text: str) -> str:
        """The normalised text."""
        lowered = text.lower()
        if _MARK in lowered:
            return self._as_a_whole(text)
        if _BRACKET.search(lowered):
            lowered = re.sub(r"[<\[][^>\]]*[>\]]", "", lowered)
            lowered = re.sub(r"\(([^)]+?)\)", "", lowered)
        if "'" in lowered:
            # an apostrophe is drawn to the word before it, over whatever is ignored between them
            lowered = re.sub(r"\s+'", "'", self._ignored.sub("", lowered))
            if _PERFECT.search(lowered):
                return self._as_a_whole(text)
        known = self._words
        made = " ".join([words for word in lowered.split() if (words := known[word])])
        if _MARK not in made:
            return made
        if "half" in made and _AND_A_HALF.search(made.replace(_MARK, "")):
            return self._as_a_whole(text)
        made = _RUN.sub(lambda run: self._runs[run[0]], made)
        if _SIGN.search(made):
            made = re.sub(r"[.$¢€£]([^0-9])", r" \1", made)
            made = re.sub(r"([^0-9])%", r"\1 ", made)
        return " ".join(made.split())

    def _as_a_whole(self, text: str) -> str:
        normalised: str = self._whole(text)
        return normalised.strip()

    def _word(self, word: str) -> str:
        """The words that are made of one, spelt as in American English; those of numbers marked."""
        with self._catching:
            self._first_half(word)
            words = self._caught.pop().split()
        if any(
            one in self._whole.standardize_numbers.words or _NUMERIC.search(one) for one in words
        ):
            return " ".join(f"{_MARK}{one}" for one in words)
        return " ".join(self._spelling.get(one, one) for one in words)

    def _catch(self, words: str) -> str:
        """Stands where numbers are read: what comes in is what the first half has made."""
        self._caught.append(words)
        return ""

    def _run(self, run: str) -> str:
        """Marked words that follow one another, their numbers read."""
        words = self._numbers(run.replace(_MARK, "")).split()
        return " ".join(self._spelling.get(one, one) for one in words)
