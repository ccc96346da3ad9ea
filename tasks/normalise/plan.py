"""Which segment goes to which shard: deterministic, append-only, speakers together."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import pyarrow as pa

from storage.fingerprint import digest
from storage.outcome import LeftOut, Outcome, quarantined
from storage.receipt import PlannedShard
from storage.schema import PLAN
from tasks.corpora.base import Segment, Unplanned

_ESTIMATED_BYTES_PER_S: Final = 16_000
"""What a second of compressed 16 kHz speech takes, for files that do not say how long they are."""


@dataclass(frozen=True)
class PlannedPart:
    """What a plan adds to a split: its rows, a batch for each shard, and the shards themselves."""

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
) -> PlannedPart:
    """Group the segments of `split` that no earlier part has into shards from `first_shard` on.

    A shard takes whole recordings, and all recordings of a speaker unless they alone fill more
    than a shard. `file_digests` are of the stored files, by path; a shard's digest covers its rows
    with these in place of the paths. A second segment of the same id is quarantined. In what order
    the segments come makes no difference.
    """
    wanted = (item for item in segments if item.split == split and _id(item) not in known_ids)
    kept: list[Segment] = []
    left_out: list[LeftOut] = []
    for row_id, group in groupby(sorted(wanted, key=_rank), key=_id):
        first, *others = group
        if isinstance(first, Segment):
            kept.append(first)
        else:
            left_out.append(first.row)
        for number, _ in enumerate(others, start=2):
            left_out.append(quarantined(f"{row_id}#{number}", "duplicate_id"))
    outcomes: list[Outcome] = []
    shards: list[PlannedShard] = []
    for index, members in enumerate(_shards(kept, target_shard_hours), start=first_shard):
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
    return PlannedPart((*outcomes, *left_out), tuple(shards))


def within(shards: Sequence[PlannedShard], limit_hours: float | None) -> tuple[PlannedShard, ...]:
    """The shortest prefix of a plan that has `limit_hours`; all of it without a limit."""
    taken: list[PlannedShard] = []
    hours = 0.0
    for shard in shards:
        if limit_hours is not None and hours >= limit_hours:
            break
        taken.append(shard)
        hours += shard.hours
    return tuple(taken)


def _shards(segments: list[Segment], target_hours: float) -> list[list[Segment]]:
    shards: list[list[Segment]] = []
    hours = target_hours
    for group in _groups(segments, target_hours):
        if hours >= target_hours:
            shards.append([])
            hours = 0.0
        shards[-1] += group
        hours += sum(map(_hours, group))
    return shards


def _groups(segments: list[Segment], target_hours: float) -> Iterable[list[Segment]]:
    """What stays together: a speaker's recordings, or one recording of a speaker with too many."""
    ordered = sorted(segments, key=lambda s: (_owner(s), s.recording_id, s.start_s, s.id))
    for _, owned in groupby(ordered, key=_owner):
        group = list(owned)
        if sum(map(_hours, group)) <= target_hours:
            yield group
        else:
            for _, recording in groupby(group, key=lambda s: s.recording_id):
                yield list(recording)


def _id(item: Segment | Unplanned) -> str:
    return item.id if isinstance(item, Segment) else item.row.id


def _rank(item: Segment | Unplanned) -> tuple[str, bool, str, int, float, float, str]:
    """Of several items with one id the first stands: a segment, and always the same one."""
    if isinstance(item, Unplanned):
        return item.row.id, True, item.row.reason, 0, 0.0, 0.0, item.row.detail
    audio, end_s = item.audio, -1.0 if item.end_s is None else item.end_s
    return item.id, False, audio.name, audio.offset, item.start_s, end_s, item.raw_text


def _owner(segment: Segment) -> str:
    return segment.speaker_id or segment.recording_id


def _hours(segment: Segment) -> float:
    if segment.end_s is not None:
        return (segment.end_s - segment.start_s) / 3600
    return (segment.audio.duration_s or segment.audio.size / _ESTIMATED_BYTES_PER_S) / 3600


def _row(shard: int, segment: Segment) -> dict[str, str | int | float | None]:
    return {
        "shard": shard,
        "id": segment.id,
        "recording_id": segment.recording_id,
        "speaker_id": segment.speaker_id,
        "file": segment.audio.file,
        "offset": segment.audio.offset,
        "size": segment.audio.size,
        "channel": segment.channel,
        "start_s": segment.start_s,
        "end_s": segment.end_s,
        "raw_text": segment.raw_text,
    }
