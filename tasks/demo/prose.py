"""What the synthetic speakers say as people write it: capitals, titles in short, a full stop."""

import re

_TITLES = {"mister": "Mr", "missus": "Mrs", "doctor": "Dr"}
_TITLED = re.compile(rf"\b({'|'.join(_TITLES)}) (\w+)")
_I = re.compile(r"\bi\b")


def as_prose(text: str) -> str:
    """Lower-case words as a written sentence; nothing stays nothing.

    >>> as_prose("i saw mister brown")
    'I saw Mr Brown.'
    """
    if not text:
        return text
    text = _TITLED.sub(lambda found: f"{_TITLES[found[1]]} {found[2].capitalize()}", text)
    text = _I.sub("I", text)
    return f"{text[0].upper()}{text[1:]}."
