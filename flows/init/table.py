"""A source that is described by tables: JSON Lines, or Parquet with or without its audio."""

import math
import os.path
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from configs.schema import Columns
from flows.init.columns import detect_columns, has_unique, without_columns
from flows.init.durations import durations_of
from flows.init.rows import Row, column_names, embedded_durations_s, is_embedded, rows
from flows.init.source import Basis, Source, Speech
from flows.init.splits import split_of, splits_of_tables
from storage.errors import UserError
from tasks.corpora.local.rows import stem_of

FEWEST_SPEAKERS: Final = 3
"""With fewer, recordings are held out in place of speakers."""

_LONGEST_S: Final = 7 * 24 * 3600.0
"""What no recording lasts: such a number is a mistake."""

_MOST_SECONDS: Final = 3 * 3600.0
"""Rows whose durations are longer in the median are not counted in seconds."""


@dataclass(frozen=True, slots=True)
class _Utterance:
    """A row, the file of its audio below the mirror (None: inside the table), and its length."""

    row: Row
    audio: str | None
    duration_s: float | None


def inspect_tables(mirror: Path, tables: Sequence[str], name: str) -> Source:
    """What the tables below `mirror` describe; every row is read, but no audio is decoded.

    Hours come from the columns of times, else from the headers of at most 500 audio files. Raises
    `UserError` where no column can be the audio, or no path leads to a file below `mirror`.
    """
    columns = detect_columns(column_names(mirror, tables), str(mirror / tables[0]))
    every = list(rows(mirror, tables, columns))
    columns, remarks = _usable(columns, every)
    embedded = {table for table in tables if is_embedded(mirror, table, columns.audio)}
    found = [
        _Utterance(row, audio, _stated_s(row, columns))
        for row in every
        if (audio := None if row.table in embedded else _located(mirror, row, columns)) is not None
        or row.table in embedded
    ]
    if not found:
        shown = next((row.values.get(columns.audio) for row in every), None)
        raise UserError(
            f"no row of {', '.join(tables)} leads to a file below {mirror}: the column"
            f" {columns.audio!r} holds {shown!r}; paths start from the folder of the table, and"
            " must not leave the folder that `distillery init` is given"
        )
    if len(found) < len(every):
        remarks.append(f"{len(every) - len(found)} of {len(every)} rows lead to no audio file.")
    durations_s, basis, note = _durations(mirror, found, sorted(embedded), columns.audio)
    speech = [
        Speech(_key(one, columns), duration_s)
        for one, duration_s in zip(found, durations_s, strict=True)
    ]
    known = [one.duration_s for one in speech if one.duration_s is not None]
    mean_s = statistics.fmean(known) if known else None
    by_split: dict[str, list[Speech]] = {}
    for one, said in zip(found, speech, strict=True):
        by_split.setdefault(split_of(one.row.table), []).append(said)
    splits = splits_of_tables(tables)
    speakers = {str(row.values.get(columns.speaker)) for row in every} if columns.speaker else None
    return Source(
        name=name,
        title=name,
        mirror=str(mirror),
        splits=splits,
        columns=columns,
        hours={
            split: sum(one.duration_s or mean_s or 0.0 for one in by_split.get(split, ())) / 3600
            for split in splits
        },
        basis=basis,
        num_rows=len(every),
        num_speakers=None if speakers is None else len(speakers),
        mean_duration_s=mean_s,
        longest_s=max(known, default=None),
        train=tuple(
            one for split, said in by_split.items() if splits[split].role == "train" for one in said
        ),
        remarks=(*remarks, *note),
    )


def mirror_of_table(table: Path) -> tuple[Path, str]:
    """The folder above a table that its paths do not leave, and the table's path below it.

    Paths such as `../audio/1.flac` are common where tables lie in a folder of their own.
    """
    columns = detect_columns(column_names(table.parent, [table.name]), str(table))
    paths = [
        value
        for row in rows(table.parent, [table.name], columns)
        if isinstance(value := row.values.get(columns.audio), str) and not os.path.isabs(value)
    ]
    depth = max((os.path.normpath(path).split(os.sep).count("..") for path in paths), default=0)
    mirror = table.parents[min(depth, len(table.parents) - 1)]
    return mirror, table.relative_to(mirror).as_posix()


def _usable(columns: Columns, every: Sequence[Row]) -> tuple[Columns, list[str]]:
    """The columns without those whose values cannot be what their names promise, and why."""
    remarks: list[str] = []
    dropped: list[str] = []
    if columns.id and not has_unique([row.values.get(columns.id) for row in every]):
        dropped.append("id")
        remarks.append(f"The column {columns.id} is not unique, so it cannot be the id.")
    if columns.text and not any(_is_text(row.values.get(columns.text)) for row in every):
        dropped.append("text")
        remarks.append(f"The column {columns.text} holds no texts.")
    for key in ("speaker", "recording"):
        name = getattr(columns, key)
        if name and all(row.values.get(name) in (None, "") for row in every):
            dropped.append(key)
    speakers = {str(row.values.get(columns.speaker or "")) for row in every}
    if columns.speaker and "speaker" not in dropped and len(speakers) < FEWEST_SPEAKERS:
        dropped.append("speaker")
        remarks.append(f"The column {columns.speaker} has too few speakers to hold some out.")
    duration_s = _median(every, columns.duration_s)
    if columns.duration_s and (duration_s is None or duration_s > _MOST_SECONDS):
        dropped.append("duration_s")
        remarks.append(f"The column {columns.duration_s} is not in seconds.")
    has_end = columns.end_s or (columns.duration_s and "duration_s" not in dropped)
    if not (columns.start_s and has_end):
        dropped += ["start_s", "end_s"]
    return without_columns(columns, *dropped), remarks


def _median(every: Sequence[Row], name: str | None) -> float | None:
    found = [_seconds(row.values.get(name)) for row in every] if name else []
    known = [value for value in found if value is not None]
    return statistics.median(known) if known else None


def _seconds(value: Any) -> float | None:
    try:
        found = math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if 0 < found < _LONGEST_S else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _stated_s(row: Row, columns: Columns) -> float | None:
    """How long a row is by its columns of times, in seconds."""
    duration_s = _seconds(row.values.get(columns.duration_s)) if columns.duration_s else None
    if duration_s is not None or columns.end_s is None:
        return duration_s
    start_s = _seconds(row.values.get(columns.start_s)) if columns.start_s else None
    end_s = _seconds(row.values.get(columns.end_s))
    return None if end_s is None or end_s <= (start_s or 0.0) else end_s - (start_s or 0.0)


def _located(mirror: Path, row: Row, columns: Columns) -> str | None:
    """The path below the mirror of the file that a row names; None where there is none."""
    value = row.values.get(columns.audio)
    if not isinstance(value, str) or not value or os.path.isabs(value):
        return None
    for path in (os.path.join(os.path.dirname(row.table), value), value):
        found = os.path.normpath(path)
        if not found.startswith("..") and _is_file(mirror / found):
            return found
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _key(one: _Utterance, columns: Columns) -> str:
    """The name that decides the split of a row, as `tasks.corpora.local.corpus` takes it."""
    for name in (columns.speaker, columns.recording):
        value = one.row.values.get(name) if name else None
        if value not in (None, ""):
            return str(value).encode(errors="replace").decode()
    if one.audio is not None:
        return stem_of(one.audio)
    own = one.row.values.get(columns.id) if columns.id else None
    if own in (None, ""):
        return f"{stem_of(one.row.table)}:{one.row.number}"
    return str(own).encode(errors="replace").decode()


def _durations(
    mirror: Path, found: Sequence[_Utterance], embedded: Sequence[str], column: str
) -> tuple[list[float | None], Basis, list[str]]:
    """The duration of each row in seconds where it is known, how it is known, and a remark."""
    stated = [one.duration_s for one in found]
    if any(duration_s is not None for duration_s in stated):
        return stated, "durations", []
    if embedded:
        heads = embedded_durations_s(mirror, embedded, column)
        mean_s = statistics.fmean(heads) if heads else None
        return [mean_s] * len(found), "sample", [f"The first {len(heads)} rows were measured."]
    files = [mirror / one.audio for one in found if one.audio is not None]
    measured = durations_of(files)
    is_whole = len(measured) == len(files)
    note = [] if is_whole else [f"The headers of {len(measured)} of {len(files)} files were read."]
    by_place = [measured.get(place) for place in range(len(found))]
    return by_place, "headers" if is_whole else "sample", note
