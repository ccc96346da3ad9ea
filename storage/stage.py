"""What a stage promises, where its shards are kept, and whether one is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from storage.fingerprint import digest
from storage.receipt import Receipt
from storage.shard import ShardKey
from storage.store import Store

ROW_GROUP_BYTES: Final = 16 << 20
"""So that one row group can be read alone without much of the file."""


_FOLDERS: Final = {"download": "raw"}
"""Stages whose results are kept under another name than their own."""


@dataclass(frozen=True, kw_only=True)
class TableFormat:
    """The declared format of a table.

    With `row_group_bytes` None each batch that a transform yields becomes a row group of its own.
    """

    schema: pa.Schema
    row_group_bytes: int | None = ROW_GROUP_BYTES


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one shard of one stage is kept; `model` where a stage is done once for each model."""

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
        """Named by key and source, so that a listing tells what is done."""
        return f"{self.folder}/{self.key.index:05d}.{source_digest[:8]}.receipt.json"

    def file_path(self, sha256: str, suffix: str) -> str:
        """Named by its content, so that racing writers cannot overwrite each other."""
        return f"{self.folder}/{self.key.index:05d}.{sha256[:8]}.{suffix}"

    def failure_path(self) -> str:
        """Where the last failure is told; ignored once a receipt stands."""
        return f"{self.folder}/{self.key.index:05d}.failure.json"


def combined_digest(sources: Sequence[str]) -> str:
    """One digest for several inputs; that of the only one stands for itself."""
    return sources[0] if len(sources) == 1 else digest(list(sources))


def find_receipt(store: Store, place: Place, source_digest: str) -> Receipt | None:
    """The receipt of a finished shard, or None."""
    path = place.receipt_path(source_digest)
    try:
        data = store.read(path)
    except FileNotFoundError:
        return None
    return Receipt.parse(data, path)
