"""The rows of tables on disk: JSON Lines and Parquet, without the audio that is inside."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from configs.schema import Columns
from flows.init.durations import header_duration_s
from storage.errors import UserError
from tasks.corpora.local.rows import PARQUET, suffix_of

_NUM_LOOKED_AT: Final = 100
_NUM_DECODED: Final = 50


class Row(NamedTuple):
    """A row of a table: its number as `tasks.corpora.local.rows` counts, its values by column."""

    table: str
    number: int
    values: Mapping[str, Any]


def column_names(mirror: Path, tables: Sequence[str]) -> list[str]:
    """The columns of all tables, or the keys of their first lines.

    Raises `UserError` for a file that is no table.
    """
    found: dict[str, None] = {}
    for table in tables:
        if suffix_of(table) == PARQUET:
            found.update(dict.fromkeys(_schema(mirror / table).names))
            continue
        for row, _ in zip(_lines(mirror, table), range(_NUM_LOOKED_AT), strict=False):
            found.update(dict.fromkeys(row.values))
    if not found:
        raise UserError(
            f"{mirror / tables[0]} holds no rows; expected a JSON object in each line, or Parquet"
        )
    return list(found)


def rows(mirror: Path, tables: Sequence[str], columns: Columns) -> Iterator[Row]:
    """The rows of all tables, with the columns that are named; audio inside Parquet is left out."""
    for table in tables:
        if suffix_of(table) == PARQUET:
            yield from _parquet(mirror, table, columns)
        else:
            yield from _lines(mirror, table)


def is_embedded(mirror: Path, table: str, column: str) -> bool:
    """Whether a column of a Parquet file holds audio itself, not paths."""
    if suffix_of(table) != PARQUET:
        return False
    schema = _schema(mirror / table)
    if column not in schema.names:
        return False
    kind = schema.field(column).type
    return not (pa.types.is_string(kind) or pa.types.is_large_string(kind))


def embedded_durations_s(mirror: Path, tables: Sequence[str], column: str) -> list[float]:
    """The durations of the first audio of each Parquet file, in seconds."""
    found: list[float | None] = []
    for table in tables[:_NUM_DECODED]:
        num = max(1, _NUM_DECODED // len(tables))
        with _opened(mirror / table) as file:
            batches = file.iter_batches(num, columns=[column])
            for value in next(batches, pa.record_batch({column: []})).column(0).to_pylist():
                data = value.get("bytes") if isinstance(value, Mapping) else value
                found.append(header_duration_s(data) if isinstance(data, bytes) else None)
    return [duration_s for duration_s in found if duration_s is not None]


def _lines(mirror: Path, table: str) -> Iterator[Row]:
    with (mirror / table).open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                value = json.loads(line) if line.strip() else None
            except (ValueError, RecursionError):
                continue  # the plan quarantines it, with its reason
            if isinstance(value, dict):
                yield Row(table, number, value)


def _parquet(mirror: Path, table: str, columns: Columns) -> Iterator[Row]:
    wanted = {name for name in columns.model_dump().values() if name is not None}
    if is_embedded(mirror, table, columns.audio):
        wanted.discard(columns.audio)
    number = 0
    with _opened(mirror / table) as file:
        names = [name for name in file.schema_arrow.names if name in wanted]
        for batch in file.iter_batches(columns=names):
            if not names:
                yield from (Row(table, number + one, {}) for one in range(batch.num_rows))
            else:
                for one, values in enumerate(batch.to_pylist()):
                    yield Row(table, number + one, values)
            number += batch.num_rows


def _schema(path: Path) -> pa.Schema:
    with _opened(path) as file:
        return file.schema_arrow


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file; errors while it is read are a `UserError`."""
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} is not a whole Parquet file: {reason}") from error
