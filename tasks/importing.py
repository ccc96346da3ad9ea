"""The first import of transformers, by one thread at a time."""

import importlib
from threading import Lock
from typing import Final

_LOCK: Final = Lock()
_REPLACED: Final = (
    "transformers",
    "transformers.generation",
    "transformers.integrations",
    "transformers.models.auto",
    "transformers.models.whisper",
)
"""Those that put another module in their own place and that stages import from."""


def import_transformers() -> None:
    """Import transformers, unless that is done; to be called before imports within a function.

    While they are imported, some of its modules put another module in their own place. A thread
    that reaches an import statement meanwhile waits for the end, and is then left with the first
    module, in which nothing is found.
    """
    with _LOCK:
        for name in _REPLACED:
            importlib.import_module(name)
