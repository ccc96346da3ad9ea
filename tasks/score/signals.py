"""What a text tells by itself: phrases that repeat, and letters of another script.

Knows texts; knows no table.
"""

import functools
import unicodedata
from collections.abc import Sequence
from itertools import groupby
from operator import eq
from typing import Final

_PHRASE_WORDS: Final = 8

_LATIN: Final = ("LATIN",)
_SCRIPTS: Final = {
    **dict.fromkeys(("ar", "fa", "ps", "sd", "ur"), ("ARABIC",)),
    **dict.fromkeys(("ba", "be", "bg", "kk", "mk", "mn", "ru", "tg", "tt", "uk"), ("CYRILLIC",)),
    **dict.fromkeys(("az", "sr", "tk", "uz"), ("CYRILLIC", "LATIN")),
    **dict.fromkeys(("he", "yi"), ("HEBREW",)),
    **dict.fromkeys(("hi", "mr", "ne", "sa"), ("DEVANAGARI",)),
    **dict.fromkeys(("as", "bn"), ("BENGALI",)),
    **dict.fromkeys(("yue", "zh"), ("CJK", "BOPOMOFO")),
    "am": ("ETHIOPIC",),
    "bo": ("TIBETAN",),
    "el": ("GREEK",),
    "gu": ("GUJARATI",),
    "hy": ("ARMENIAN",),
    "ja": ("CJK", "HIRAGANA", "KATAKANA"),
    "ka": ("GEORGIAN",),
    "km": ("KHMER",),
    "kn": ("KANNADA",),
    "ko": ("HANGUL", "CJK"),
    "lo": ("LAO",),
    "ml": ("MALAYALAM",),
    "my": ("MYANMAR",),
    "pa": ("GURMUKHI",),
    "si": ("SINHALA",),
    "ta": ("TAMIL",),
    "te": ("TELUGU",),
    "th": ("THAI",),
}
"""Whisper's languages that are not written in Latin letters, by code; names as Unicode's."""


def most_repeats(words: Sequence[str]) -> int:
    """How often a phrase of up to 8 words follows itself at most, itself counted.

    >>> most_repeats("so thank you thank you thank you all".split())
    3
    """
    most = 1
    for length in range(1, min(_PHRASE_WORDS, len(words) // 2) + 1):
        same = list(map(eq, words, words[length:]))
        if True in same:
            longest = max(len(list(run)) for is_same, run in groupby(same) if is_same)
            most = max(most, longest // length + 1)
    return most


def foreign_percent(text: str, language: str) -> float:
    """Of the letters of a text, those of no script in which the language is written; 0 for none.

    >>> foreign_percent("the \u0434\u043e\u043c", "en")
    50.0
    """
    scripts = _SCRIPTS.get(language, _LATIN)
    if scripts is _LATIN and text.isascii():
        return 0.0
    is_own = [letter.startswith(scripts) for char in text if (letter := _letter(char))]
    return 100 * is_own.count(False) / len(is_own) if is_own else 0.0


@functools.lru_cache(maxsize=1 << 16)
def _letter(char: str) -> str:
    """The name of a letter, which begins with its script; empty for what is no letter."""
    return unicodedata.name(char, "") if char.isalpha() else ""
