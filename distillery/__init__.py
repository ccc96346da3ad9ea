"""Distillery as a library: raw speech corpora, Whisper labels, a filter, a distilled student.

    import distillery

    config = distillery.load_config("demo")
    result = distillery.run("demo", until="publish")
    evidence = distillery.read_evidence(config, columns=["window_id", "wer_percent"])
    stream = distillery.open_manifest(config.root, config.publish.name, num_epochs=1)

The same as the command line, which is `python -m distillery`. Importing this package imports
neither torch, Prefect nor PyArrow: each function imports what it needs when it is called.

Every error that a user can mend is a `ConfigError` or a `UserError`; all errors that are raised on
purpose, but for `ConfigError`, are `DistilleryError`s.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

from configs.load import ConfigError, load_config
from configs.schema import RunConfig
from configs.version import installed_version
from distillery.evidence import evidence_batches, read_evidence, read_kept
from distillery.pipeline import RunResult, run
from storage.errors import (
    DistilleryError,
    IntegrityError,
    ShardError,
    TransientError,
    UserError,
)

if TYPE_CHECKING:
    from tasks.reading.sample import Sample
    from tasks.reading.stream import ManifestStream, open_manifest

__all__ = [
    "ConfigError",
    "DistilleryError",
    "IntegrityError",
    "ManifestStream",
    "RunConfig",
    "RunResult",
    "Sample",
    "ShardError",
    "TransientError",
    "UserError",
    "__version__",
    "evidence_batches",
    "load_config",
    "open_manifest",
    "read_evidence",
    "read_kept",
    "run",
]

__version__: Final = installed_version()


_NEED_TORCH: Final = {
    "ManifestStream": "tasks.reading.stream",
    "Sample": "tasks.reading.sample",
    "open_manifest": "tasks.reading.stream",
}


def __getattr__(name: str) -> object:
    """What reads training examples: its modules import torch, so they are imported when asked."""
    if name not in _NEED_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_NEED_TORCH[name]), name)
