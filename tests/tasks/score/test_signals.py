"""Signals of a single text."""

import pytest

from tasks.score.signals import foreign_percent, most_repeats


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("", 1),
        ("one two three", 1),
        ("no no", 2),
        ("go on go on go", 2),
        ("a b a b a b c", 3),
        ("one two three four five six seven eight " * 2, 2),
        ("one two three four five six seven eight nine " * 2, 1),
        ("a a b a a", 2),
    ],
)
def test_only_consecutive_repeats_count(text: str, most: int) -> None:
    assert most_repeats(text.split()) == most


@pytest.mark.parametrize(
    ("text", "language", "percent"),
    [
        ("the caf\u00e9", "en", 0.0),
        ("12 %", "en", 0.0),
        ("", "ru", 0.0),
        ("\u0434\u043e\u043c", "en", 100.0),
        ("\u0434\u043e\u043c", "ru", 0.0),
        ("\u0434\u043e\u043c tv", "ru", 40.0),
        ("\u4f60\u597d", "zh", 0.0),
        ("\u6771\u4eac \u30c6\u30ec\u30d3 \u3067\u3059", "ja", 0.0),
        ("\u4f60\u597d ok", "en", 50.0),
    ],
)
def test_letters_of_other_scripts_are_foreign(text: str, language: str, percent: float) -> None:
    assert foreign_percent(text, language) == percent
