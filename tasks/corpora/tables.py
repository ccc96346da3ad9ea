"""Readers for annotation tables: Parquet and separated columns."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import ShardError
from tasks.corpora.base import Member, Raw

_BATCH_ROWS: Final = 4_096
_SHOWN_CHARS: Final = 200


def parquet_rows(
    raw: Raw, file: Member, columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a Parquet file with their numbers, from 0; raises `ShardError`."""
    try:
        with raw.open(file) as opened:
            table = pq.ParquetFile(opened, pre_buffer=False)
            if missing := set(columns) - set(table.schema_arrow.names):
                raise ShardError(
                    f"{file.name} has no column {min(missing)!r}; it has"
                    f" {', '.join(table.schema_arrow.names)}"
                )
            number = 0
            for batch in table.iter_batches(_BATCH_ROWS, columns=list(columns)):
                for row in batch.to_pylist():
                    yield number, row
                    number += 1
    except (pa.ArrowException, OSError) as error:  # Arrow raises either for damage
        reason = str(error).partition("\n")[0]
        raise ShardError(f"{file.name} is not a complete Parquet file: {reason}") from error


def audio_in(file: Member, row: int, column: str = "audio") -> Member:
    """The audio in a row of a Parquet file."""
    return Member(file.file, f"{file.name}#{row}", file.offset, file.size, None, column, row)


def separated_rows(
    raw: Raw,
    table: Member,
    separator: str,
    *,
    columns: Collection[str] = (),
    header: Sequence[str] = (),
) -> Iterator[tuple[int, str, dict[str, str] | None]]:
    """The lines of a table without quoting: number (from 1), line, and fields by name.

    The field names are `header`, or else the first line; raises `ShardError` if one of `columns` is
    missing. The fields are None for a line with a different number of fields.
    """
    names = list(header)
    with raw.open(table) as lines:
        for number, data in enumerate(lines, start=1):
            line = data.decode("utf-8", errors="replace").rstrip("\r\n")
            if not line.strip():
                continue
            fields = line.split(separator)
            if names:
                is_complete = len(fields) == len(names)
                yield number, line, dict(zip(names, fields, strict=True)) if is_complete else None
            elif missing := set(columns) - set(fields):
                found = "".join(c if c.isprintable() else "?" for c in ", ".join(fields))
                raise ShardError(
                    f"{table.name} has no column {min(missing)!r}; it has {found[:_SHOWN_CHARS]}"
                )
            else:
                names = fields
