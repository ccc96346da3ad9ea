"""Converts the rows of JSON Lines and Parquet tables of local corpora to segments."""

import json
import math
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from configs.schema import Columns
from storage.outcome import quarantined
from tasks.corpora.base import Member, Raw, Segment, Unplanned, checked_segment
from tasks.corpora.tables import ANYTHING, Unconvertible, audio_in, parquet_rows
from tasks.corpora.validity import MAX_S, shown

AUDIO_SUFFIXES: Final = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".sph")
PARQUET: Final = ".parquet"
TABLE_SUFFIXES: Final = (".jsonl", ".ndjson", ".json", PARQUET)

_SHOWN_CHARS: Final = 80


def suffix_of(name: str) -> str:
    """The suffix of a path, in lower case."""
    return PurePosixPath(name).suffix.lower()


def stem_of(name: str) -> str:
    """The path without its suffix."""
    return str(PurePosixPath(name).with_suffix(""))


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a row; `name` is its id unless the row has an id of its own."""

    split: str
    name: str

    def rejected(self, reason: str, detail: str) -> Unplanned:
        """Quarantine the row."""
        row = quarantined(self.name, reason, detail[:_SHOWN_CHARS])
        return Unplanned(split=self.split, row=row)


class _InvalidRowError(ValueError):
    """A row that cannot be used; `reason` is counted."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


def table_items(
    raw: Raw, table: Member, split: str, columns: Columns, files: Mapping[str, Member]
) -> Iterator[Segment | Unplanned]:
    """One segment per row of a table; `files` are the files that its paths may refer to.

    Raises `ShardError` for a Parquet file that is incomplete or lacks a column.
    """
    rows = _parquet if suffix_of(table.name) == PARQUET else _lines
    for number, values, embedded in rows(raw, table, columns):
        place = Place(split, f"{stem_of(table.name)}:{number}")
        if isinstance(values, str):
            yield place.rejected("malformed_line", values)
            continue
        audio = embedded or values.get(columns.audio)
        yield _item(place, table, values, audio, columns, files)


_Row = tuple[int, dict[str, Any] | str, Member | None]
"""Number, values by column (the text of a line that is not an object), embedded audio."""


def _lines(raw: Raw, table: Member, columns: Columns) -> Iterator[_Row]:
    with raw.open(table) as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, _object(line), None


def _object(line: bytes) -> dict[str, Any] | str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else line.decode(errors="replace").strip()


def _parquet(raw: Raw, table: Member, columns: Columns) -> Iterator[_Row]:
    names = {name for name in columns.model_dump().values() if name is not None}
    if is_embedded := _has_bytes(raw, table, columns.audio):
        names -= {columns.audio}
    for number, row in parquet_rows(raw, table, dict.fromkeys(sorted(names), ANYTHING)):
        yield number, row, audio_in(table, number, columns.audio) if is_embedded else None


def _has_bytes(raw: Raw, table: Member, column: str) -> bool:
    """Whether a column has audio, not paths; other faults are reported when rows are read."""
    with raw.open(table) as file:
        try:
            schema = pq.read_schema(file)
        except (pa.ArrowException, OSError, ValueError):
            return False
    if len(schema.get_all_field_indices(column)) != 1:
        return False
    kind = schema.field(column).type
    return not (pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _item(
    place: Place,
    table: Member,
    values: Mapping[str, Any],
    audio: object,
    columns: Columns,
    files: Mapping[str, Member],
) -> Segment | Unplanned:
    """The segment of a row; `audio` is a member or a path."""
    try:
        if columns.id is not None:
            _check_values({columns.id: values.get(columns.id)})
            if (own_id := _text_or_none(values.get(columns.id))) is None:
                raise _InvalidRowError("no_id", f"{columns.id} of {place.name}")
            place = replace(place, name=own_id)
        _check_values(values)
        member = audio if isinstance(audio, Member) else _located(audio, table, files)
        text = "" if columns.text is None else values.get(columns.text)
        if not isinstance(text, str):
            raise _InvalidRowError("no_text", f"{columns.text} is {shown(text)}")
        start_s, end_s, duration_s = _times(values, columns)
        file = place.name if member is audio else stem_of(member.name)
        recording_id = _text_or_none(values.get(columns.recording or "")) or file
        speaker_id = _text_or_none(values.get(columns.speaker or ""))
    except _InvalidRowError as error:
        return place.rejected(error.reason, error.detail)
    return checked_segment(
        id=place.name,
        split=place.split,
        recording_id=recording_id,
        speaker_id=speaker_id,
        audio=replace(member, duration_s=duration_s or member.duration_s),
        raw_text=text,
        start_s=start_s,
        end_s=end_s,
    )


def _check_values(values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if isinstance(value, Unconvertible):
            raise _InvalidRowError("malformed_value", f"{name}: {shown(value.reason)}")


def _times(values: Mapping[str, Any], columns: Columns) -> tuple[float, float | None, float | None]:
    """Start, end (None: the end of the audio) and the stated duration of the whole audio."""
    start_s, end_s, duration_s = (
        None if name is None else _seconds(values.get(name))
        for name in (columns.start_s, columns.end_s, columns.duration_s)
    )
    first_s = start_s or 0.0
    if end_s is None and duration_s is not None and columns.start_s is not None:
        end_s = first_s + duration_s
    if end_s is not None and end_s <= first_s:
        raise _InvalidRowError("reversed_times", f"{first_s} to {end_s} s")
    return first_s, end_s, duration_s if columns.start_s is None else None


def _located(path: object, table: Member, files: Mapping[str, Member]) -> Member:
    """The file at a path, relative to the folder of the table or to the mirror."""
    if not isinstance(path, str) or not path:
        raise _InvalidRowError("no_audio", f"{shown(path)} is not a path")
    candidates = (posixpath.join(posixpath.dirname(table.name), path), path)
    inside = [
        candidate
        for candidate in map(posixpath.normpath, candidates)
        if not posixpath.isabs(candidate) and candidate.split("/")[0] != ".."
    ]
    if not inside or "://" in path:
        raise _InvalidRowError("outside_the_mirror", path)
    for candidate in inside:
        if candidate in files and suffix_of(candidate) in AUDIO_SUFFIXES:
            return files[candidate]
    raise _InvalidRowError("no_audio", path)


def _seconds(value: object) -> float | None:
    if value is None or value == "":
        return None
    try:
        seconds = math.nan if isinstance(value, bool) else float(str(value))
    except (RecursionError, ValueError):
        seconds = math.nan
    if not 0 <= seconds <= MAX_S:  # also for NaN
        raise _InvalidRowError("malformed_times", f"{shown(value)} is not a time in seconds")
    return seconds


def _text_or_none(value: object) -> str | None:
    if value is None or value == "":
        return None
    try:
        return str(value)
    except (RecursionError, ValueError) as error:
        raise _InvalidRowError("malformed_text", shown(value)) from error
