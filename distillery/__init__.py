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
from configs.schema import Label, RunConfig, Teacher
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
    from tasks.label.shard import label_shard
    from tasks.reading.sample import Sample
    from tasks.reading.stream import ManifestStream, open_manifest
    from tasks.whisper.engine import DecodingResult

__all__ = [
    "ConfigError",
    "DecodingResult",
    "DistilleryError",
    "IntegrityError",
    "Label",
    "ManifestStream",
    "RunConfig",
    "RunResult",
    "Sample",
    "ShardError",
    "Teacher",
    "TransientError",
    "UserError",
    "__version__",
    "evidence_batches",
    "label_shard",
    "load_config",
    "open_manifest",
    "read_evidence",
    "read_kept",
    "run",
]

__version__: Final = installed_version()


_LAZY: Final = {
    "DecodingResult": "tasks.whisper.engine",
    "ManifestStream": "tasks.reading.stream",
    "Sample": "tasks.reading.sample",
    "label_shard": "tasks.label.shard",
    "open_manifest": "tasks.reading.stream",
}


def __getattr__(name: str) -> object:
    """Names whose modules import torch or audio libraries: imported when they are first used."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
