"""The format of a stage's tables, where its shards are stored, and whether one is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from storage.fingerprint import digest
from storage.receipt import Receipt
from storage.shard import ShardKey
from storage.store import Store

ROW_GROUP_BYTES: Final = 16 << 20
"""Small enough to read one row group without much of the file."""


_FOLDERS: Final = {"download": "raw"}
"""Stages whose results are stored under another name than their own."""


@dataclass(frozen=True, kw_only=True)
class TableFormat:
    """The declared format of a table.

    With `row_group_bytes` None each batch that a transform yields becomes a row group of its own.
    """

    schema: pa.Schema
    row_group_bytes: int | None = ROW_GROUP_BYTES


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one shard of one stage is stored; with `model` for stages that run once per model."""

    stage: str
    fingerprint: str
    key: ShardKey
    model: str | None = None

    @property
    def folder(self) -> str:
        """The folder of the shard's split."""
        top = _FOLDERS.get(self.stage, self.stage)
        above = top if self.model is None else f"{top}/{self.model}"
        return f"{above}/{self.key.corpus}/{self.fingerprint}/{self.key.split}"

    def receipt_path(self, source_digest: str) -> str:
        """Named by key and source, so that a listing shows what is done."""
        return f"{self.folder}/{self.key.index:05d}.{source_digest[:8]}.receipt.json"

    def file_path(self, sha256: str, suffix: str) -> str:
        """Named by its content, so that racing writers cannot overwrite each other."""
        return f"{self.folder}/{self.key.index:05d}.{sha256[:8]}.{suffix}"

    def failure_path(self) -> str:
        """Where the last failure is described; ignored once there is a receipt."""
        return f"{self.folder}/{self.key.index:05d}.failure.json"


def stage_of(path: str) -> str:
    """The stage below whose folder a stored file is."""
    top = path.split("/", 1)[0]
    return next((stage for stage, folder in _FOLDERS.items() if folder == top), top)


def combined_digest(sources: Sequence[str]) -> str:
    """One digest for several inputs; a single one is returned as it is."""
    return sources[0] if len(sources) == 1 else digest(list(sources))


def find_receipt(store: Store, place: Place, source_digest: str) -> Receipt | None:
    """The receipt of a finished shard, or None."""
    path = place.receipt_path(source_digest)
    try:
        data = store.read(path)
    except FileNotFoundError:
        return None
    return Receipt.parse(data, path)
