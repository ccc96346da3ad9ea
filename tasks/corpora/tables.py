"""Readers for annotation tables: Parquet and separated columns."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import ShardError
from tasks.corpora.base import Member, Raw
from tasks.corpora.validity import shown

_BATCH_ROWS: Final = 4_096
_SHOWN_CHARS: Final = 200
_UNCONVERTIBLE: Final = (pa.ArrowException, OSError, ValueError, ArithmeticError, LookupError)
"""What Arrow raises for a value that Python cannot have; the last for an unknown time zone."""


@dataclass(frozen=True, slots=True)
class Unconvertible:
    """In place of a value that Python cannot have, such as a date after the year 9999."""

    reason: str


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """The types that a Parquet column may have; a column without values has any of them."""

    what: str
    is_type: Callable[[pa.DataType], bool]


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


TEXT: Final = ColumnKind("text", _is_text)
NUMBER: Final = ColumnKind("numbers", _is_number)
ANYTHING: Final = ColumnKind("anything", lambda _: True)


def parquet_rows(
    raw: Raw, file: Member, columns: Mapping[str, ColumnKind]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a Parquet file with their numbers, from 0.

    Bytes of a text that are not UTF-8 become lone surrogates, which no `Segment` may have. A value
    of `ANYTHING` can be `Unconvertible`. Raises `ShardError` if the file is damaged, or a column is
    missing or has values of another kind.
    """
    try:
        with raw.open(file) as opened:
            table = pq.ParquetFile(opened, pre_buffer=False)
            _check_columns(file, table.schema_arrow, columns)
            number = 0
            for batch in table.iter_batches(_BATCH_ROWS, columns=list(columns)):
                for row in _rows(batch):
                    yield number, row
                    number += 1
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        # Arrow raises any of these for damage: the last two for names and lengths in the footer
        reason = shown(str(error).partition("\n")[0])
        raise ShardError(f"{file.name} is not a complete Parquet file: {reason}") from error


def _listed(names: Sequence[str]) -> str:
    """The first names, without characters that would break or hide a line."""
    text = ", ".join(names)[:_SHOWN_CHARS]
    return "".join(char if char.isprintable() else "?" for char in text)


def _check_columns(file: Member, schema: pa.Schema, columns: Mapping[str, ColumnKind]) -> None:
    if missing := columns.keys() - set(schema.names):
        raise ShardError(
            f"{file.name} has no column {min(missing)!r}; it has {_listed(schema.names)}"
        )
    for name, kind in columns.items():
        fields = schema.get_all_field_indices(name)
        if len(fields) > 1:
            raise ShardError(f"{file.name} has {len(fields)} columns {name!r}, expected one")
        found_type = schema.field(name).type
        if not (pa.types.is_null(found_type) or kind.is_type(found_type)):
            raise ShardError(
                f"{file.name}: the column {name!r} is of type {shown(str(found_type))},"
                f" expected {kind.what}"
            )


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except _UNCONVERTIBLE:  # in one row: the others are not lost with it
        columns = {name: _decoded(batch.column(name)) for name in batch.schema.names}
        rows = [
            dict(zip(columns, values, strict=True))
            for values in zip(*columns.values(), strict=True)
        ]
    return rows


def _decoded(column: pa.Array) -> list[Any]:
    """The values of a column, one by one; bytes that are not UTF-8 become lone surrogates."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if not _is_text(column.type):
        return [_converted(value) for value in column]
    data = column.cast(pa.large_binary()).to_pylist()
    return [one if one is None else one.decode(errors="surrogateescape") for one in data]


def _converted(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except _UNCONVERTIBLE as error:
        return Unconvertible(f"{type(error).__name__}: {error}".partition("\n")[0])


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
                raise ShardError(
                    f"{table.name} has no column {min(missing)!r}; it has {_listed(fields)}"
                )
            else:
                names = fields
