"""Formats sentences of the grammar as written English: capitals, titles, a full stop."""

import re

_TITLES = {"mister": "Mr", "missus": "Mrs", "doctor": "Dr"}
_TITLED = re.compile(rf"\b({'|'.join(_TITLES)}) (\w+)")
_I = re.compile(r"\bi\b")


def as_prose(text: str) -> str:
    """Lower-case words as a written sentence; an empty text stays empty.

    >>> as_prose("i saw mister brown")
    'I saw Mr Brown.'
    """
    if not text:
        return text
    text = _TITLED.sub(lambda match: f"{_TITLES[match[1]]} {match[2].capitalize()}", text)
    text = _I.sub("I", text)
    return f"{text[0].upper()}{text[1:]}."
