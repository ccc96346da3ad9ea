"""The small record written last beside an output: the only proof that it is done."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from storage.errors import IntegrityError
from storage.shard import ShardKey

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
NumRows = Annotated[int, Field(ge=0)]


class Record(BaseModel):
    """A frozen value that is stored as JSON and refuses keys it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, serialize_by_alias=True
    )

    @classmethod
    def parse(cls, data: bytes, path: str) -> Self:
        """The record that is stored at `path`; raises `IntegrityError` when `data` is none."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "its JSON"
            raise IntegrityError(
                f"{path} is damaged: {where}: {first['msg']};"
                " remove it, and run again what wrote it"
            ) from error


class FileRef(Record):
    """A stored file by its path under the root and the digest that its bytes must have."""

    path: str
    sha256: Sha256
    size_bytes: NumRows
    num_rows: NumRows = 0


class Counts(Record):
    """Where the rows went; the row law holds by construction."""

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
    """A shard as the plan made it; `digest` changes if and only if its segments do."""

    index: NumRows
    digest: Sha256
    num_rows: NumRows
    hours: float


class Receipt(Record):
    """Proof that one shard of one stage is done, and what it holds."""

    stage: str
    fingerprint: str
    key: ShardKey
    source_digest: Sha256
    output: FileRef
    rejected: FileRef | None = Field(default=None, alias="left_out")  # rows that did not come out
    beside: tuple[FileRef, ...] = ()  # further files: the index of an archive, the parts of a model
    counts: Counts
    hours: float = 0.0  # of audio in the rows that came out
    planned: tuple[PlannedShard, ...] = ()
    sources: tuple[Sha256, ...] = ()
    recorded: Mapping[str, Any] = {}  # what may vary between machines: batch size, seconds
    finished_at: str = ""
