"""Errors by who can fix them: the user, the owner of the data, or a retry."""

import re
from typing import Final

_LOGIN: Final = re.compile(r"(?<=://)(?:[^\s/@:]*:[^\s@]*|[^\s/@]*)@")
_SIGNATURE: Final = re.compile(r"(\w://[^\s?]*)\?[^\s'\"]*")


class DistilleryError(Exception):
    """Base class. The message is one line: what, found, expected, next action; no credentials."""

    def __init__(self, message: str = "") -> None:
        super().__init__(without_secrets(message))


class UserError(DistilleryError):
    """A wrong command, configuration or permission; exit status 2, never retried."""


class ShardError(DistilleryError):
    """A shard cannot be computed from this input; not retried until input or code changes."""


class IntegrityError(ShardError):
    """A stored file is missing, damaged, or not the one that its receipt or manifest names.

    `path` is that file, below the root; "" where it is not known.
    """

    def __init__(self, message: str = "", path: str = "") -> None:
        super().__init__(message)
        self.path = path


class TransientError(DistilleryError):
    """A temporary fault of the network or a server; retried with back-off."""


def without_secrets(text: str) -> str:
    """`text` with user names, passwords and query strings removed from the URLs in it.

    >>> without_secrets("https://name:pass/word@host/file?signature=1 is not there")
    'https://host/file is not there'
    """
    return _SIGNATURE.sub(r"\1", _LOGIN.sub("", text))
