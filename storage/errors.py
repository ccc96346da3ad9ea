"""What can go wrong, by who must act: the user, the owner of the data, or nobody but a retry."""

import re
from typing import Final

_LOGIN: Final = re.compile(r"(?<=://)(?:[^\s/@:]*:[^\s@]*|[^\s/@]*)@")
_SIGNATURE: Final = re.compile(r"(\w://[^\s?]*)\?[^\s'\"]*")


class DistilleryError(Exception):
    """One clear line: what, found, expected, next step; never what logs in or signs a URL."""

    def __init__(self, message: str = "") -> None:
        super().__init__(without_secrets(message))


class UserError(DistilleryError):
    """A mistake in a command, a configuration or a permission; exit status 2, never retried."""


class ShardError(DistilleryError):
    """A shard cannot be made from this input; terminal until the input or the code changes."""


class IntegrityError(ShardError):
    """Stored bytes are not the bytes that a receipt or a manifest names."""


class TransientError(DistilleryError):
    """A fault of the network or a server that may pass; retried with back-off."""


def without_secrets(text: str) -> str:
    """A URL, or a text that holds some, without names, passwords and queries.

    >>> without_secrets("https://name:pass/word@host/file?signature=1 is not there")
    'https://host/file is not there'
    """
    return _SIGNATURE.sub(r"\1", _LOGIN.sub("", text))
