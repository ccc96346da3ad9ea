"""From planned segments to utterances: decode, cut, one channel, 16 kHz, FLAC."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import numpy as np
import pyarrow as pa

from configs.schema import Normalise
from storage.errors import ShardError
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
from tasks.download.files import AudioPlace

_BATCH_BYTES: Final = 1 << 20  # small beside a row group, so that those keep their size
_END_TOLERANCE_S: Final = 0.1
"""Annotations may end a little after the audio; by more, one of the two is wrong."""

Row = dict[str, Any]
ReadAudio = Callable[[AudioPlace], bytes]


def normalise_shard(
    segments: pa.Table, read: ReadAudio, key: ShardKey, settings: Normalise
) -> Outcomes:
    """Make the utterances of one shard.

    `segments` has the schema `PLAN`; `read` gives the encoded audio at a place. Yields batches of
    schema `NORMALISED`. A file that cannot be decoded quarantines its segments; a recording is
    decoded once for all of them.
    """
    pending: list[Row] = []
    pending_bytes = 0
    rows = segments.to_pylist()
    for place, group in groupby(rows, key=_place):
        for outcome in _utterances(read, place, list(group), key, settings):
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


def _place(row: Row) -> AudioPlace:
    return AudioPlace(*(row[name] for name in AudioPlace._fields))


def _utterances(
    read: ReadAudio, place: AudioPlace, rows: list[Row], key: ShardKey, settings: Normalise
) -> Iterator[Row | LeftOut]:
    try:
        data = read(place)
        recording = decode(data)
    except (AudioError, ShardError) as error:
        for row in rows:
            yield quarantined(row["id"], "unreadable_audio", str(error))
        return
    for row in rows:
        if (end_s := row["end_s"]) is not None and end_s > recording.duration_s + _END_TOLERANCE_S:
            detail = f"ends at {end_s:g} s, the recording at {recording.duration_s:g} s"
            yield quarantined(row["id"], "beyond_the_end", detail)
            continue
        try:
            stretches = row["pieces_s"] or [(row["start_s"], end_s)]
            piece = _joined([cut(recording, row["channel"], *stretch) for stretch in stretches])
        except AudioError as error:
            yield quarantined(row["id"], "no_such_channel", str(error))
            continue
        yield _checked(row, piece, settings) or _utterance(row, piece, data, recording, key)


def _joined(pieces: Sequence[Audio]) -> Audio:
    if len(pieces) == 1:
        return pieces[0]
    return Audio(np.concatenate([piece.samples for piece in pieces]), pieces[0].rate_hz)


def _checked(row: Row, piece: Audio, settings: Normalise) -> LeftOut | None:
    """The reason to drop a piece, as far as its audio alone tells."""
    detail = f"{piece.duration_s:.2f} s"
    if piece.duration_s < settings.min_duration_s or not len(piece.samples):
        return dropped(row["id"], "too_short", detail)
    if piece.duration_s > settings.max_duration_s:
        return dropped(row["id"], "too_long", detail)
    return None


def _utterance(row: Row, piece: Audio, data: bytes, recording: Audio, key: ShardKey) -> Row:
    is_whole = row["start_s"] == 0 and row["end_s"] is None and not row["pieces_s"]
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
