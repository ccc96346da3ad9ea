"""Signals of a single text: repeated phrases, and letters of a foreign script."""

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
"""Unicode scripts of Whisper's languages that are not written in Latin letters."""


def most_repeats(words: Sequence[str]) -> int:
    """The largest number of consecutive occurrences of any phrase of up to 8 words.

    >>> most_repeats("so thank you thank you thank you all".split())
    3
    """
    most = 1
    for length in range(1, min(_PHRASE_WORDS, len(words) // 2) + 1):
        matches = list(map(eq, words, words[length:]))
        if True in matches:
            longest = max(len(list(run)) for is_match, run in groupby(matches) if is_match)
            most = max(most, longest // length + 1)
    return most


def foreign_percent(text: str, language: str) -> float:
    """The percentage of a text's letters in a script that the language does not use.

    >>> foreign_percent("the \u0434\u043e\u043c", "en")
    50.0
    """
    scripts = _SCRIPTS.get(language, _LATIN)
    if scripts is _LATIN and text.isascii():
        return 0.0
    is_native = [name.startswith(scripts) for char in text if (name := _letter_name(char))]
    return 100 * is_native.count(False) / len(is_native) if is_native else 0.0


@functools.lru_cache(maxsize=1 << 16)
def _letter_name(char: str) -> str:
    """The Unicode name of a letter, which starts with its script; empty for other characters."""
    return unicodedata.name(char, "") if char.isalpha() else ""
