"""Assigns segments to shards: deterministic, append-only, keeping speakers together."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, groupby
from pathlib import PurePosixPath
from typing import Any, Final

import pyarrow as pa

from storage.fingerprint import digest
from storage.outcome import Outcome, Rejected, quarantined
from storage.receipt import PlannedShard
from tasks.corpora.base import Segment, Unplanned
from tasks.corpora.validity import MAX_S
from tasks.plan.schema import PLAN

_ESTIMATED_BYTES_PER_S: Final = {".mp3": 6_000, ".opus": 4_000, ".ogg": 8_000, ".wav": 32_000}
_ESTIMATED_FLAC_BYTES_PER_S: Final = 16_000
"""Bytes per second of speech, to estimate the duration of files that do not state it."""

_TYPICAL_UTTERANCE_S: Final = 10.0
"""Assumed for audio in Parquet files without a stated duration."""


@dataclass(frozen=True)
class PlannedPart:
    """The addition to the plan of a split: one batch of rows per shard, and the shards."""

    outcomes: tuple[Outcome, ...]
    shards: tuple[PlannedShard, ...]


def plan_part(
    segments: Iterable[Segment | Unplanned],
    *,
    split: str,
    known_ids: Collection[str],
    first_shard: int,
    target_shard_hours: float,
    file_digests: Mapping[str, str],
    self_contained: bool = False,
    rejected_ids: Collection[str] = (),
) -> PlannedPart:
    """Group the segments of `split` that are not planned yet into shards from `first_shard` on.

    A shard holds whole recordings, and all recordings that share speakers unless these exceed the
    size of a shard. If files are `self_contained`, a shard holds consecutive segments of one file
    instead, so that later files move nothing and files can be planned as they arrive.
    `file_digests` maps the paths of stored files to digests; the digest of a shard covers its rows
    with these in place of the paths. Only the first segment with an id is planned, the others are
    quarantined: if files are `self_contained`, the first in the order of `segments`, all of which
    are of new files; otherwise the order of `segments` has no effect.

    `known_ids` are those of earlier parts. Of these, `rejected_ids` have no segment, and get one if
    there is a valid one now, such as a row whose audio was missing.
    """
    items = [item for item in segments if item.split == split]
    if not self_contained:
        open_ids = {item.id for item in items if isinstance(item, Segment)} & {*rejected_ids}
        items = [item for item in items if _id(item) not in known_ids or _id(item) in open_ids]
        items.sort(key=_sort_key)
    known = set(known_ids) if self_contained else set[str]()
    kept, rejected = _first_of_each_id(items, known, known.difference(rejected_ids))
    outcomes: list[Outcome] = []
    shards: list[PlannedShard] = []
    groups = _by_file(kept) if self_contained else [_by_speakers(kept, target_shard_hours)]
    filled = (members for group in groups for members in _shards(group, target_shard_hours))
    for index, members in enumerate(filled, start=first_shard):
        rows = [_row(index, segment) for segment in members]
        identity = [
            {**row, "shard": None, "file": file_digests[segment.audio.file]}
            for row, segment in zip(rows, members, strict=True)
        ]
        outcomes.append(pa.RecordBatch.from_pylist(rows, schema=PLAN))
        shards.append(
            PlannedShard(
                index=index,
                digest=digest(identity),
                num_rows=len(rows),
                hours=sum(map(_hours, members)),
            )
        )
    return PlannedPart((*outcomes, *rejected), tuple(shards))


def _first_of_each_id(
    items: Sequence[Segment | Unplanned], known: set[str], planned: set[str]
) -> tuple[list[Segment], list[Rejected]]:
    """The segments to plan and all rejections, each with an id of its own.

    `known` are the ids in use, `planned` those of them that have a segment. An id belongs to its
    first segment, also if a row without a segment comes first.
    """
    kept: list[Segment] = []
    rejected: list[Rejected] = []
    known |= {item.id for item in items if isinstance(item, Segment)}
    # kept for each id: counting from 2 again takes quadratic time if many rows have one id
    numbers = defaultdict[str, Iterator[int]](lambda: count(2))
    for item in items:
        if isinstance(item, Segment) and item.id not in planned:
            kept.append(item)
            planned.add(item.id)
        elif isinstance(item, Unplanned) and item.row.id not in known:
            rejected.append(item.row)
            known.add(item.row.id)
        else:
            name = _numbered(_id(item), known, numbers[_id(item)])
            rejected.append(quarantined(name, "duplicate_id"))
            known.add(name)
    return kept, rejected


def _numbered(row_id: str, known: Collection[str], numbers: Iterator[int]) -> str:
    """The id of a further row with the id `row_id`: `a#2`, `a#3` and so on."""
    return next(name for n in numbers if (name := f"{row_id}#{n}") not in known)


def within(shards: Sequence[PlannedShard], limit_hours: float | None) -> tuple[PlannedShard, ...]:
    """The shortest prefix of a plan with at least `limit_hours`; the whole plan without a limit."""
    taken: list[PlannedShard] = []
    hours = 0.0
    for shard in shards:
        if limit_hours is not None and hours >= limit_hours:
            break
        taken.append(shard)
        hours += shard.hours
    return tuple(taken)


def _shards(groups: Iterable[list[Segment]], target_hours: float) -> list[list[Segment]]:
    shards: list[list[Segment]] = []
    hours = target_hours
    for group in groups:
        if hours >= target_hours:
            shards.append([])
            hours = 0.0
        shards[-1] += group
        hours += sum(map(_hours, group))
    return shards


def _by_file(segments: list[Segment]) -> Iterable[Iterable[list[Segment]]]:
    """The segments of each file in file order, each in a group of its own."""
    ordered = sorted(segments, key=lambda s: (s.audio.file, s.audio.row or 0, s.start_s, s.id))
    for _, of_file in groupby(ordered, key=lambda s: s.audio.file):
        yield [[segment] for segment in of_file]


def _by_speakers(segments: list[Segment], target_hours: float) -> Iterable[list[Segment]]:
    """Groups of recordings that share speakers; single recordings if a group exceeds a shard.

    A recording is sorted by file, so that each file is decoded once, then by channel, speaker and
    time.
    """
    group_of = _speaker_groups(segments)
    ordered = sorted(segments, key=lambda s: (group_of[s.recording_id], *_order(s)))
    for _, members in groupby(ordered, key=lambda s: group_of[s.recording_id]):
        group = list(members)
        if sum(map(_hours, group)) <= target_hours:
            yield group
        else:
            for _, recording in groupby(group, key=lambda s: s.recording_id):
                yield list(recording)


def _order(segment: Segment) -> tuple[str, str, int, int, str, float, str]:
    audio, speaker = segment.audio, segment.speaker_id or ""
    return (
        segment.recording_id,
        audio.name,
        audio.offset,
        segment.channel,
        speaker,
        segment.start_s,
        segment.id,
    )


def _speaker_groups(segments: Iterable[Segment]) -> dict[str, str]:
    """Map each recording to the first one it is connected to by speakers (union-find)."""
    parent: dict[str, str] = {}
    first_of: dict[str, str] = {}

    def root(recording: str) -> str:
        while (above := parent.setdefault(recording, recording)) != recording:
            parent[recording] = parent[above]
            recording = parent[recording]
        return recording

    for segment in segments:
        own = root(segment.recording_id)
        if segment.speaker_id is not None:
            other = root(first_of.setdefault(segment.speaker_id, segment.recording_id))
            parent[max(own, other)] = min(own, other)
    return {recording: root(recording) for recording in parent}


def _id(item: Segment | Unplanned) -> str:
    return item.id if isinstance(item, Segment) else item.row.id


def _sort_key(item: Segment | Unplanned) -> tuple[str, bool, str, int, int, float, float, str]:
    """Sorts by id, segments first, so that the same item is kept of several with one id."""
    if isinstance(item, Unplanned):
        return item.row.id, True, item.row.reason, 0, 0, 0.0, 0.0, item.row.detail
    audio, end_s = item.audio, -1.0 if item.end_s is None else item.end_s
    place = audio.name, audio.offset, audio.row or 0
    return item.id, False, *place, item.start_s, end_s, item.raw_text


def _hours(segment: Segment) -> float:
    if segment.end_s is not None:
        return (segment.end_s - segment.start_s) / 3600
    return (_stated_s(segment) or segment.audio.size / _bytes_per_s(segment.audio.name)) / 3600


def _stated_s(segment: Segment) -> float | None:
    audio = segment.audio
    if audio.duration_s is not None and 0 < audio.duration_s <= MAX_S:
        return audio.duration_s
    # the size of a Parquet file says nothing about one value in it
    return _TYPICAL_UTTERANCE_S if audio.column is not None else None


def _bytes_per_s(name: str) -> int:
    return _ESTIMATED_BYTES_PER_S.get(PurePosixPath(name).suffix, _ESTIMATED_FLAC_BYTES_PER_S)


def _row(shard: int, segment: Segment) -> dict[str, Any]:
    return {
        "shard": shard,
        "id": segment.id,
        "recording_id": segment.recording_id,
        "speaker_id": segment.speaker_id,
        "file": segment.audio.file,
        "offset": segment.audio.offset,
        "size": segment.audio.size,
        "column": segment.audio.column,
        "row": segment.audio.row,
        "channel": segment.channel,
        "start_s": segment.start_s,
        "end_s": segment.end_s,
        "pieces_s": [list(piece) for piece in segment.pieces_s] or None,
        "raw_text": segment.raw_text,
    }
