"""From planned segments to utterances: decode, cut, one channel, 16 kHz, FLAC."""

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, Final

import pyarrow as pa

from configs.schema import Normalise
from storage.outcome import LeftOut, Outcomes, dropped, quarantined
from storage.schema import NORMALISED, SAMPLE_RATE_HZ
from storage.shard import ShardKey
from tasks.audio import (
    Audio,
    AudioError,
    cut,
    decode,
    encode_flac,
    is_normalised_flac,
    to_whisper_rate,
)

_BATCH_BYTES: Final = 1 << 20  # small beside a row group, so that those keep their size
_END_TOLERANCE_S: Final = 0.1
"""Annotations may end a little after the audio; by more, one of the two is wrong."""

Row = dict[str, Any]
ReadRange = Callable[[str, int, int], bytes]


def normalise_shard(
    segments: pa.Table, read: ReadRange, key: ShardKey, settings: Normalise
) -> Outcomes:
    """Make the utterances of one shard.

    `segments` has the schema `PLAN`; `read` gives the bytes of a stored file from an offset and a
    size. Yields batches of schema `NORMALISED`. A file that cannot be decoded quarantines its
    segments; a recording is decoded once for all of them.
    """
    pending: list[Row] = []
    pending_bytes = 0
    rows = segments.to_pylist()
    for (file, offset, size), group in groupby(rows, key=_place):
        for outcome in _utterances(read(file, offset, size), list(group), key, settings):
            if isinstance(outcome, LeftOut):
                yield outcome
                continue
            pending.append(outcome)
            pending_bytes += len(outcome["audio"]["bytes"])
            if pending_bytes >= _BATCH_BYTES:
                yield pa.RecordBatch.from_pylist(pending, schema=NORMALISED)
                pending, pending_bytes = [], 0
    if pending:
        yield pa.RecordBatch.from_pylist(pending, schema=NORMALISED)


def _place(row: Row) -> tuple[str, int, int]:
    return row["file"], row["offset"], row["size"]


def _utterances(
    data: bytes, rows: list[Row], key: ShardKey, settings: Normalise
) -> Iterator[Row | LeftOut]:
    try:
        recording = decode(data)
    except AudioError as error:
        for row in rows:
            yield quarantined(row["id"], "unreadable_audio", str(error))
        return
    for row in rows:
        if (end_s := row["end_s"]) is not None and end_s > recording.duration_s + _END_TOLERANCE_S:
            detail = f"ends at {end_s:g} s, the recording at {recording.duration_s:g} s"
            yield quarantined(row["id"], "beyond_the_end", detail)
            continue
        try:
            piece = cut(recording, row["channel"], row["start_s"], end_s)
        except AudioError as error:
            yield quarantined(row["id"], "no_such_channel", str(error))
            continue
        yield _checked(row, piece, settings) or _utterance(row, piece, data, recording, key)


def _checked(row: Row, piece: Audio, settings: Normalise) -> LeftOut | None:
    """The reason to drop a piece, as far as its audio alone tells."""
    detail = f"{piece.duration_s:.2f} s"
    if piece.duration_s < settings.min_duration_s or not len(piece.samples):
        return dropped(row["id"], "too_short", detail)
    if piece.duration_s > settings.max_duration_s:
        return dropped(row["id"], "too_long", detail)
    return None


def _utterance(row: Row, piece: Audio, data: bytes, recording: Audio, key: ShardKey) -> Row:
    is_whole = row["start_s"] == 0 and row["end_s"] is None
    if is_whole and is_normalised_flac(data, recording):
        flac, num_samples = data, len(recording.samples)
    else:
        samples = to_whisper_rate(piece)
        flac, num_samples = encode_flac(samples), len(samples)
    return {
        "id": row["id"],
        "corpus": key.corpus,
        "split": key.split,
        "recording_id": row["recording_id"],
        "speaker_id": row["speaker_id"],
        "start_s": row["start_s"],
        "duration_s": num_samples / SAMPLE_RATE_HZ,
        "audio": {"bytes": flac, "path": f"{row['id']}.flac"},
        "raw_text": row["raw_text"],
    }
