"""Random sentences of 2 to 12 words, from a small grammar of about 90 words.

Some words exercise text normalisation: titles (mister), contractions (don't, it's, we'll), British
spelling (colour, favourite, grey) and numbers as words.
"""

import numpy as np

MIN_WORDS, MAX_WORDS = 2, 12

# A symbol in capitals is replaced by one of its productions; anything else is a word. A repeated
# production is twice as likely.
_RULES: dict[str, tuple[str, ...]] = {
    "SENTENCE": (
        "CLAUSE",
        "CLAUSE",
        "CLAUSE TIME",
        "TIME CLAUSE",
        "CLAUSE AND CLAUSE",
        "CLAUSE because CLAUSE",
        "it's THING",
        "it's THING PLACE",
        "THING is QUALITY",
        "THING was very QUALITY TIME",
        "the colour of THING is PAINT",
        "there was THING PLACE",
        "NUMBER of the PLURAL",
        "not TIME",
        "PERSON",
    ),
    "CLAUSE": (
        "PERSON DID THING",
        "PERSON DID THING PLACE",
        "PERSON DID NUMBER PLURAL",
        "PERSON DID NUMBER QUALITY PLURAL PLACE",
        "PERSON didn't DO THING",
        "they don't DO THING",
        "we'll DO THING",
        "i can't DO THING PLACE",
        "PERSON never DID THING",
    ),
    "AND": ("and", "but", "then"),
    "PERSON": ("TITLE NAME", "TITLE NAME", "he", "she", "they", "we", "i", "WHOSE ROLE"),
    "TITLE": ("mister", "missus", "doctor"),
    "NAME": ("brown", "green", "white", "wilson", "carter"),
    "ROLE": ("captain", "teacher", "brother", "sister", "farmer"),
    "WHOSE": ("the", "my", "our"),
    "THING": (
        "WHOSE OBJECT",
        "WHOSE OBJECT",
        "a QUALITY OBJECT",
        "WHOSE QUALITY OBJECT",
        "my favourite OBJECT",
    ),
    "OBJECT": ("boat", "house", "garden", "river", "lamp", "letter", "window", "horse", "train"),
    "PLURAL": ("boats", "horses", "letters", "windows"),
    "QUALITY": ("tall", "small", "quiet", "heavy", "yellow", "PAINT"),
    "PAINT": ("brown", "green", "white", "grey"),
    "DID": ("saw", "found", "painted", "carried", "opened", "lost", "wanted"),
    "DO": ("see", "find", "carry", "open", "like"),
    "NUMBER": ("DIGIT", "DIGIT", "twelve", "TENS", "TENS DIGIT", "DIGIT hundred"),
    "DIGIT": ("two", "three", "four", "five", "seven"),
    "TENS": ("twenty", "thirty"),
    "PLACE": ("near WHOSE OBJECT", "behind WHOSE OBJECT", "in WHOSE OBJECT", "under a OBJECT"),
    "TIME": ("today", "yesterday", "this morning", "every evening"),
}


def vocabulary() -> tuple[str, ...]:
    """All words of the grammar, sorted."""
    words = {
        word for productions in _RULES.values() for text in productions for word in text.split()
    }
    return tuple(sorted(words - _RULES.keys()))


def sentence(rng: np.random.Generator) -> str:
    """A sentence of `MIN_WORDS` to `MAX_WORDS` lower-case words, separated by single spaces."""
    while True:
        words = _expand("SENTENCE", rng)
        if MIN_WORDS <= len(words) <= MAX_WORDS:
            return " ".join(words)


def _expand(symbol: str, rng: np.random.Generator) -> list[str]:
    productions = _RULES.get(symbol)
    if productions is None:
        return [symbol]
    chosen = productions[int(rng.integers(len(productions)))]
    return [word for part in chosen.split() for word in _expand(part, rng)]
