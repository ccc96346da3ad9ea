"""The cached English normaliser gives the same result as Whisper's own for any text."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer
from whisper_normalizer.english import EnglishSpellingNormalizer
from whisper_normalizer.english import EnglishTextNormalizer as PackagedNormalizer

from tasks.text.english import EnglishNormaliser

SPELLINGS = EnglishSpellingNormalizer().mapping
WHOLE = EnglishTextNormalizer(SPELLINGS)
FAST = EnglishNormaliser(lambda: EnglishTextNormalizer(SPELLINGS))

NUMBERS = sorted(WHOLE.standardize_numbers.words)
WORDS = (
    "the of and a boat half colour grey i'm don't can't he's been she'd done got gone let's um uh"
    " mm hmm o' 'tis y'all ma'am mr mr. mrs. dr st st. nd rd th s t m ve ll n't rock'n'roll i'ma"
    " travelled theatre be-half caf\u00e9 na\u00efve \u0130stanbul"
    " \u03a3\u03b9\u03c3\u03c5\u03c6\u03bf\u03c2"
    " re:do won't gonna lt. esq."
)
PLAIN = WORDS.split()
SIGNS = list(
    ".%$\u00a2\u20ac\u00a3,;:!?-'\"()[]<>&*/+=_^~`\0"
    "\u00b4\u00bd\u00b2\u2122\u0153\u00f8\u00e6\u00df\u00e9\u00f1\u200b\u00a0\u0301\u0663\uff11\uff48\u2026\u2014\u201c\u2019\u2018"
)
MONEY = "$20|\u00a35.50|2 dollars and 7 cents|\u20ac0.05|five per cent|20 %|$2 and \u00a27"
COUNTED = "0|1|5|7|12|20|100|1984|2.5|0.07|1,000,000|1980s|5th"
PHRASES = "two and a half|and a half|he'd been|it's got|um 'tis|one oh one|(laughs)"
AMOUNTS = [*MONEY.split("|"), *COUNTED.split("|"), *PHRASES.split("|")]
GAPS = [" "] * 12 + ["  ", "\t", "\n", "\u2028", ""]


def word(chance: random.Random) -> str:
    """A word, a number, a sign at either side of one, or no word of any language."""
    kind = chance.random()
    if kind < 0.3:
        return chance.choice(NUMBERS)
    if kind < 0.55:
        return chance.choice(PLAIN)
    if kind < 0.65:
        return chance.choice(AMOUNTS)
    if kind < 0.75:
        return chance.choice(SIGNS) + chance.choice(PLAIN + NUMBERS)
    if kind < 0.85:
        return chance.choice(PLAIN + NUMBERS + AMOUNTS) + chance.choice(SIGNS)
    if kind < 0.95:
        return chance.choice(NUMBERS) + chance.choice("-,. ") + chance.choice(NUMBERS + PLAIN)
    letters = [*"abcs 0123", *SIGNS]
    return "".join(chance.choices(letters, k=chance.randint(1, 6)))


def text(chance: random.Random) -> str:
    words = (word(chance) + chance.choice(GAPS) for _ in range(chance.randint(0, 9)))
    made = "".join(words)
    return chance.choice([made, made, made, made.title(), made.upper()])


@pytest.mark.parametrize("seed", range(5))
def test_random_texts_give_the_same_result(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(1_500):
        made = text(chance)
        assert FAST(made) == WHOLE(made).strip(), repr(made)


def test_the_package_with_the_table_of_spellings_gives_the_same_result() -> None:
    chance, package = random.Random(77), PackagedNormalizer()
    for _ in range(800):
        made = text(chance)
        assert FAST(made) == package(made).strip(), repr(made)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_any_text_gives_the_same_result(made: str) -> None:
    assert FAST(made) == WHOLE(made).strip()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(NUMBERS + PLAIN + AMOUNTS + SIGNS), max_size=12).map(" ".join))
def test_any_sequence_of_words_gives_the_same_result(made: str) -> None:
    assert FAST(made) == WHOLE(made).strip()


def test_each_word_of_the_table_of_spellings_gives_the_same_result() -> None:
    for british in SPELLINGS:
        assert FAST(f"the {british} one") == WHOLE(f"the {british} one").strip()


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.text.english._MAX_CACHED", 5)
    fast = EnglishNormaliser(lambda: EnglishTextNormalizer(SPELLINGS))
    made = " ".join(f"word{letter} two" for letter in "abcdefghij")
    assert fast(made) == WHOLE(made).strip()
    assert len(fast._words) <= 5


def test_threads_can_share_one() -> None:
    fast: Callable[[str], str] = EnglishNormaliser(lambda: EnglishTextNormalizer(SPELLINGS))
    chance = random.Random(99)
    texts = [text(chance) for _ in range(400)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(fast, texts * 2)) == [WHOLE(one).strip() for one in texts * 2]
