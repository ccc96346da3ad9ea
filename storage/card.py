"""The text of a card as it is stored: with a checksum in a comment at its end."""

import hashlib
import re
from typing import Final

from storage.errors import IntegrityError

_SEAL: Final = re.compile(r"\n<!-- sha256 ([0-9a-f]{64}) -->\n\Z")
_END: Final = ".\n"  # of the last sentence
_REMAINS: Final = re.compile(r"<!-- sha256 | -->\n\Z")


def sealed_card(text: str) -> bytes:
    """A card with the SHA-256 of its text."""
    return f"{text}\n<!-- sha256 {_sha256(text)} -->\n".encode()


def opened_card(data: bytes, path: str) -> str:
    """The text of the card stored at `path`; raises `IntegrityError` if it is damaged.

    A card without a checksum is accepted, since older ones have none, but not one with the remains
    of a checksum or without its end.
    """
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{path} is damaged: it is not UTF-8", path) from error
    if (seal := _SEAL.search(whole)) is None:
        if _REMAINS.search(whole) or not whole.endswith(_END):
            raise IntegrityError(f"{path} is damaged: it is incomplete", path)
        return whole
    text = whole[: seal.start()]
    if (found := _sha256(text)) != seal[1]:
        raise IntegrityError(
            f"{path} is damaged: its checksum is {seal[1]}, its text has {found}", path
        )
    return text


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
