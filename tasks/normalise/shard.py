"""Converts planned segments to utterances: decode, cut, one channel, 16 kHz, FLAC."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from string import ascii_uppercase
from typing import Any, Final

import numpy as np
import pyarrow as pa

from configs.schema import Normalise
from storage.errors import IntegrityError, ShardError
from storage.outcome import Created, Outcomes, Rejected, dropped, quarantined
from storage.shard import ShardKey
from tasks.audio import (
    SAMPLE_RATE_HZ,
    Audio,
    AudioError,
    Pcm,
    cut,
    decode,
    encode_flac,
    is_normalised_flac,
    to_whisper_rate,
)
from tasks.download.files import AudioPlace
from tasks.normalise.schema import NORMALISED
from tasks.normalise.segment import distinct_channels, speech_segments

_BATCH_BYTES: Final = 1 << 20  # small compared with a row group
_END_TOLERANCE_S: Final = 0.1
"""Annotations may end slightly after the audio; beyond this, one of the two is wrong."""

Row = dict[str, Any]
ReadAudio = Callable[[AudioPlace], bytes]


def normalise_shard(
    segments: pa.Table,
    read: ReadAudio,
    key: ShardKey,
    settings: Normalise,
    *,
    limits_duration: bool = True,
) -> Outcomes:
    """Yield the utterances of one shard, in batches of schema `NORMALISED`.

    `segments` has the schema `PLAN`; `read` returns the encoded audio at a place. Each recording is
    decoded once; if that fails, its segments are quarantined. An `IntegrityError` of `read` fails
    the shard instead: the stored file is damaged, not the recording.

    Utterances are dropped as `too_short` or `too_long` if their duration is outside the limits of
    `settings`; without `limits_duration`, as for held-out speech, only those without any samples
    are. A recording cut by voice activity detection is dropped as `segmented` and its segments
    count as created; without speech it is dropped as `no_speech`.
    """
    limits_s = (0.0, math.inf)
    if limits_duration:
        limits_s = (settings.min_duration_s, settings.max_duration_s)
    pending: list[Row] = []
    pending_bytes = 0
    rows = segments.to_pylist()
    for place, group in groupby(rows, key=_place):
        for outcome in _utterances(read, place, list(group), key, settings, limits_s):
            if isinstance(outcome, Rejected | Created):
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
    read: ReadAudio,
    place: AudioPlace,
    rows: list[Row],
    key: ShardKey,
    settings: Normalise,
    limits_s: tuple[float, float],
) -> Iterator[Row | Rejected | Created]:
    try:
        data = read(place)
        recording = decode(data)
    except IntegrityError:
        raise  # the audio is there once the file is repaired, so its rows must not be lost
    except (AudioError, ShardError) as error:
        for row in rows:
            yield quarantined(row["id"], "unreadable_audio", str(error))
        return
    for row in rows:
        if (end_s := row["end_s"]) is not None and end_s > recording.duration_s + _END_TOLERANCE_S:
            detail = f"ends at {end_s:g} s, the recording at {recording.duration_s:g} s"
            yield quarantined(row["id"], "beyond_the_end", detail)
            continue
        row |= {"corpus": key.corpus, "split": key.split}
        try:
            if channels := _channels_to_segment(row, recording, settings):
                yield from _segmented(row, recording, channels, settings, limits_s)
            else:
                times_s = row["pieces_s"] or [(row["start_s"], end_s)]
                piece = _concatenated(
                    [cut(recording, row["channel"], *start_end) for start_end in times_s]
                )
                yield _too_short_or_long(row, piece, limits_s) or _whole(
                    row, piece, data, recording
                )
        except AudioError as error:
            yield quarantined(row["id"], "no_such_channel", str(error))


def _concatenated(pieces: Sequence[Audio]) -> Audio:
    if len(pieces) == 1:
        return pieces[0]
    return Audio(np.concatenate([piece.samples for piece in pieces]), pieces[0].rate_hz)


def _channels_to_segment(row: Row, recording: Audio, settings: Normalise) -> list[int]:
    """The channels in which to detect speech; empty if the row is kept as it is.

    If the speaker is unknown, each channel counts as a different speaker.
    """
    if settings.segment == "none" or row["raw_text"].strip() or row["pieces_s"]:
        return []
    channels = [row["channel"]]
    if row["speaker_id"] is None and recording.samples.shape[1] > 1:
        channels = distinct_channels(recording.samples)
    end_s = recording.duration_s if row["end_s"] is None else row["end_s"]
    is_long = end_s - row["start_s"] > settings.max_duration_s
    return channels if is_long or len(channels) > 1 else []


def _segmented(
    row: Row,
    recording: Audio,
    channels: Sequence[int],
    settings: Normalise,
    limits_s: tuple[float, float],
) -> Iterator[Row | Rejected | Created]:
    """One row per speech segment, with id `{id}-{start}-{end}`; times in centiseconds."""
    pieces: list[tuple[Row, Pcm]] = []
    for channel in channels:
        samples = to_whisper_rate(cut(recording, channel, row["start_s"], row["end_s"]))
        suffix = f"-{_letter(channel)}" if len(channels) > 1 else ""
        speaker_id = f"{row['recording_id']}{suffix}" if suffix else row["speaker_id"]
        for first, last in speech_segments(samples, settings):
            start_s, end_s = (row["start_s"] + at / SAMPLE_RATE_HZ for at in (first, last))
            times = f"{round(100 * start_s):07d}-{round(100 * end_s):07d}"
            piece = {
                "id": f"{row['id']}{suffix}-{times}",
                "speaker_id": speaker_id,
                "start_s": start_s,
            }
            pieces.append((row | piece, samples[first:last]))
    if not pieces:
        yield dropped(row["id"], "no_speech", f"{recording.duration_s:.2f} s")
        return
    yield Created(tuple(piece["id"] for piece, _ in pieces))
    yield dropped(row["id"], "segmented", f"into {len(pieces)}")
    for piece, samples in pieces:
        audio = Audio(samples[:, None], SAMPLE_RATE_HZ)
        yield _too_short_or_long(piece, audio, limits_s) or _utterance(
            piece, encode_flac(samples), len(samples)
        )


def _letter(channel: int) -> str:
    return ascii_uppercase[channel] if channel < len(ascii_uppercase) else str(channel + 1)


def _too_short_or_long(row: Row, piece: Audio, limits_s: tuple[float, float]) -> Rejected | None:
    """Drop a piece whose duration is outside the limits; None if it is kept."""
    detail = f"{piece.duration_s:.2f} s"
    min_s, max_s = limits_s
    if piece.duration_s < min_s or not len(piece.samples):
        return dropped(row["id"], "too_short", detail)
    if piece.duration_s > max_s:
        return dropped(row["id"], "too_long", detail)
    return None


def _whole(row: Row, piece: Audio, data: bytes, recording: Audio) -> Row:
    is_whole = row["start_s"] == 0 and row["end_s"] is None and not row["pieces_s"]
    if is_whole and is_normalised_flac(data):
        return _utterance(row, data, len(recording.samples))
    samples = to_whisper_rate(piece)
    return _utterance(row, encode_flac(samples), len(samples))


def _utterance(row: Row, flac: bytes, num_samples: int) -> Row:
    computed = {
        "duration_s": num_samples / SAMPLE_RATE_HZ,
        "audio": {"bytes": flac, "path": f"{row['id']}.flac"},
    }
    return {name: computed[name] if name in computed else row[name] for name in NORMALISED.names}
