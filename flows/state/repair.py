"""What recreates a stored file, and the command for it, from the path of the file alone.

Knows the layout on storage and nothing else: no file is read.
"""

import re
import shlex
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from flows.state.rerun import RERUN_STAGES
from storage.errors import IntegrityError, UserError
from storage.shard import ShardKey
from tasks.stages import CORPUS_STAGES

_RAW: Final = "raw"
_AGAIN: Final = "; again: "
_SHARD = re.compile(
    r"(?:evaluate/(?P<model>[^/]+)|(?P<stage>[^/]+))/(?P<corpus>[^/]+)/(?P<fingerprint>[^/]+)"
    r"/(?P<split>[^/]+)/(?:[0-9a-f]{16}\.summary\.json|(?P<index>\d{5,})\.(?P<name>.+))"
)
_MANIFEST = re.compile(r"manifests/(?P<name>[^/]+)/(?P<number>\d{5,})\.(?P<suffix>json|md)")
_CHECKPOINT = re.compile(r"(?P<folder>distil/[^/]+/checkpoints/step-\d+)/[^/]+")
_STUDENT = re.compile(
    r"(?P<folder>distil/(?P<fingerprint>[^/]+))/(?:student-[^/]+/.+|student\.receipt\.json)"
)
_REPORT = re.compile(r"reports/(?P<name>[^/]+)/[^/]+\.(?P<suffix>json|parquet)")


class Kind(StrEnum):
    """What a stored file is, as far as it matters for making it again."""

    SHARD = "shard"  # its table, rejected rows, archive, index, listing or receipt
    FAILURE = "failure record"
    SUMMARY = "summary"
    MANIFEST = "manifest"
    CARD = "card"
    CHECKPOINT = "checkpoint"
    STUDENT = "student"
    REPORT = "report"
    TOTALS = "totals"


@dataclass(frozen=True, kw_only=True)
class Producer:
    """What recreates a stored file.

    `key` is that of a shard; that of a manifest is `all/NAME/NUMBER`. `folder` is what belongs
    together: the split of a shard, the step of a checkpoint, the student.
    """

    path: str
    kind: Kind
    stage: str
    folder: str
    key: ShardKey | None = None
    fingerprint: str = ""

    @property
    def is_receipt(self) -> bool:
        """Whether the file is the proof that others are complete."""
        return self.path.endswith(".receipt.json")

    def __str__(self) -> str:
        what = "" if self.kind is Kind.SHARD else f"{self.kind} of "
        return f"{what}{self.stage}{f' {self.key}' if self.key else ''}"


def producer_of(path: str) -> Producer:
    """What recreates the file at `path`, below the root.

    Raises `UserError` for a path that is not of the layout on storage (docs/architecture.md).
    """
    if (found := _SHARD.fullmatch(path)) and (stage := _stage(found)) is not None:
        return _of_shard(path, stage, found)
    if found := _MANIFEST.fullmatch(path):
        key = ShardKey("all", found["name"], int(found["number"]))
        kind = Kind.MANIFEST if found["suffix"] == "json" else Kind.CARD
        return Producer(path=path, kind=kind, stage="publish", folder=_above(path), key=key)
    if found := _CHECKPOINT.fullmatch(path):
        return Producer(path=path, kind=Kind.CHECKPOINT, stage="distil", folder=found["folder"])
    if found := _STUDENT.fullmatch(path):
        return Producer(
            path=path,
            kind=Kind.STUDENT,
            stage="distil",
            folder=found["folder"],
            fingerprint=found["fingerprint"],
        )
    if found := _REPORT.fullmatch(path):
        kind = Kind.REPORT if found["suffix"] == "json" else Kind.TOTALS
        return Producer(path=path, kind=kind, stage="evaluate", folder=_above(path))
    raise UserError(
        f"{path!r} is not a stored file; expected a path below the root, such as"
        " label/librispeech/FINGERPRINT/train-clean-100/00007.SHA.parquet"
    )


def is_stored(path: str) -> bool:
    """Whether `path` is of the layout on storage, so that a file there can be repaired."""
    try:
        producer_of(path)
    except UserError:
        return False
    return True


def repair_command(config: str | Path, path: str) -> str:
    """The command that recreates the damaged file at `path`."""
    return f"distillery repair {shlex.quote(str(config))} {shlex.quote(path)}"


def with_command(config: str | Path, error: IntegrityError) -> IntegrityError:
    """The error with the command that recreates the damaged file, where it can be recreated.

    One that has a command already keeps it, because its configuration is known best where it arose.
    """
    if not is_stored(error.path) or _AGAIN in str(error):
        return error
    return IntegrityError(f"{error}{_AGAIN}{repair_command(config, error.path)}", error.path)


def rerun_command(config: str | Path, stage: str, key: ShardKey) -> str:
    """The command that makes a shard again, for a stage that `rerun` takes, or what it lacks."""
    named = shlex.quote(str(config))
    if stage not in RERUN_STAGES:
        return f"distillery evaluate {named}"
    return f"distillery rerun {named} {stage} {key}"


class Failed(Protocol):
    """A shard that has no receipt, and why."""

    @property
    def stage(self) -> str:
        """The stage that failed."""

    @property
    def key(self) -> ShardKey:
        """Its name."""

    @property
    def reason(self) -> str:
        """One line."""

    @property
    def damaged(self) -> str:
        """The damaged file for which it failed, or ""."""


def again_command(config: str | Path, failure: Failed) -> str:
    """The command that mends a failure: its damaged input, where that is why, or the shard."""
    if failure.damaged:
        return repair_command(config, failure.damaged)
    return rerun_command(config, failure.stage, failure.key)


def _stage(found: re.Match[str]) -> str | None:
    """The stage of a file in the folder of a split; None if there is no such stage."""
    if found["model"]:
        return "evaluate"
    stage = "download" if found["stage"] == _RAW else found["stage"]
    return stage if stage in CORPUS_STAGES and found["stage"] != "download" else None


def _of_shard(path: str, stage: str, found: re.Match[str]) -> Producer:
    if found["index"] is None:
        return Producer(path=path, kind=Kind.SUMMARY, stage=stage, folder=_above(path))
    return Producer(
        path=path,
        kind=Kind.FAILURE if found["name"] == "failure.json" else Kind.SHARD,
        stage=stage,
        folder=_above(path),
        key=ShardKey(found["corpus"], found["split"], int(found["index"])),
        fingerprint=found["fingerprint"],
    )


def _above(path: str) -> str:
    return path.rpartition("/")[0]
