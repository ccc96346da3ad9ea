"""Receipts: the record written last beside an output, the only proof that it is complete."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from storage.record import Record
from storage.shard import ShardKey

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
NumRows = Annotated[int, Field(ge=0)]


class FileRef(Record):
    """A stored file: its path below the root, digest and size."""

    path: str
    sha256: Sha256
    size_bytes: NumRows
    num_rows: NumRows = 0


class Counts(Record):
    """How many rows went where. Every input or created row is counted exactly once.

    `rows_in + created == rows_out + dropped + quarantined`, checked on construction.
    """

    rows_in: NumRows = 0
    created: NumRows = 0
    rows_out: NumRows = 0
    dropped: Mapping[str, NumRows] = {}
    quarantined: Mapping[str, NumRows] = {}

    @model_validator(mode="after")
    def _row_law(self) -> Self:
        rejected = sum(self.dropped.values()) + sum(self.quarantined.values())
        if self.rows_in + self.created != self.rows_out + rejected:
            raise ValueError(
                f"rows are lost or doubled: {self.rows_in} in + {self.created} created is not"
                f" {self.rows_out} out + {rejected} dropped or quarantined"
            )
        return self


class PlannedShard(Record):
    """A planned shard; `digest` changes if and only if its segments change."""

    index: NumRows
    digest: Sha256
    num_rows: NumRows
    hours: float


class Receipt(Record):
    """Proof that one shard of one stage is complete, and what it contains."""

    stage: str
    fingerprint: str
    key: ShardKey
    source_digest: Sha256
    output: FileRef
    rejected: FileRef | None = Field(default=None, alias="left_out")  # the rejected rows
    beside: tuple[FileRef, ...] = ()  # further files, such as the index of an archive
    counts: Counts
    hours: float = 0.0  # duration of the output rows
    planned: tuple[PlannedShard, ...] = ()
    sources: tuple[Sha256, ...] = ()
    recorded: Mapping[str, Any] = {}  # may vary between machines: batch size, seconds
    finished_at: str = ""
