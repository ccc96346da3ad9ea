"""The first import of transformers, by one thread at a time."""

import importlib
from threading import Lock

_LOCK = Lock()


def import_transformers() -> None:
    """Import transformers, unless that is done; to be called before imports within a function.

    While it is imported, transformers puts another module in its own place. A thread that reaches
    an import statement meanwhile waits for the end, and is then left with the first module, in
    which nothing is found.
    """
    with _LOCK:
        importlib.import_module("transformers.models.whisper")
