"""One shard's utterances become one shard's labels."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa

from configs.schema import Label
from storage.outcome import Outcomes, Rejected, quarantined
from tasks.audio import SAMPLE_RATE_HZ, AudioError, Samples, decode_flac
from tasks.label.schema import LABELS
from tasks.label.windows import Window, pack
from tasks.read_ahead import read_ahead
from tasks.whisper.engine import AudioWindow, Engine
from tasks.whisper.safety import Transcript
from tasks.whisper.transcribe import transcribe_all

T = TypeVar("T")

NUM_AHEAD: Final = 32
"""Decoded utterances, and as many packed windows, that wait for the engine; 2 MB each at 30 s."""

_BATCH_WINDOWS: Final = 64


@dataclass(frozen=True, slots=True)
class Utterance:
    """A decoded utterance: `samples` is (samples,) float32 at 16 kHz."""

    id: str
    recording_id: str
    speaker_id: str | None
    raw_text: str
    samples: Samples

    @property
    def num_samples(self) -> int:
        """The length at 16 kHz."""
        return len(self.samples)


@dataclass(frozen=True, slots=True)
class _Packed:
    """What a label says of its window; without the sound, which is let go once it is heard."""

    window_id: str
    utterance_ids: tuple[str, ...]
    offsets_s: tuple[float, ...]
    num_samples: int
    previous_window_id: str | None


def label_shard(
    batches: Iterable[pa.RecordBatch], engine: Engine, settings: Label, *, num_threads: int = 2
) -> Outcomes:
    """Labels of the schema LABELS from normalised batches (NORMALISED), in their order.

    Utterances are packed by `settings.pack` into windows of the engine's length. `num_threads`
    decode and pack ahead of the engine, `NUM_AHEAD` windows at most, so memory does not grow with
    the shard; see `transcribe_all`. Dropped: `longer_than_window`; quarantined: `unreadable_audio`.
    Raises `UserError` for a language that the teacher does not know, `ShardError` when the device
    has no memory for one window.
    """
    with (
        closing(utterances(batches, num_threads)) as found,
        closing(ahead(_sounds(found, engine.window_samples, settings))) as windows,
    ):
        for batch in in_batches(transcribe_all(engine, windows, settings), _BATCH_WINDOWS):
            yield batch if isinstance(batch, Rejected) else _labels(batch, settings.language)


def utterances(
    batches: Iterable[pa.RecordBatch], num_threads: int, num_ahead: int = NUM_AHEAD
) -> Generator[Utterance | Rejected, None, None]:
    """Decode the rows of normalised batches `num_ahead` of who asks, in their order.

    What cannot be decoded is quarantined. Close it to stop the threads.
    """
    rows = (row for batch in batches for row in batch.to_pylist())
    return read_ahead(rows, _decoded, num_threads=num_threads, num_ahead=num_ahead)


def ahead(windows: Iterator[T]) -> Generator[T, None, None]:
    """The same, made in a thread of its own before it is asked for; close it to stop that."""
    return read_ahead(windows, lambda window: window, num_threads=1, num_ahead=NUM_AHEAD)


def in_batches(found: Iterable[T | Rejected], size: int) -> Iterator[list[T] | Rejected]:
    """Neighbours together, `size` at most; what is left out stays in its place between them."""
    batch: list[T] = []
    for one in found:
        is_left_out = isinstance(one, Rejected)
        if batch and (is_left_out or len(batch) == size):
            yield batch
            batch = []
        if isinstance(one, Rejected):
            yield one
        else:
            batch.append(one)
    if batch:
        yield batch


def _decoded(row: dict[str, Any]) -> Utterance | Rejected:
    try:
        samples = decode_flac(row["audio"]["bytes"])
    except AudioError as error:
        return quarantined(row["id"], "unreadable_audio", str(error))
    if not len(samples):
        return quarantined(row["id"], "unreadable_audio", "no samples")
    return Utterance(row["id"], row["recording_id"], row["speaker_id"], row["raw_text"], samples)


def _sounds(
    found: Iterable[Utterance | Rejected], window_samples: int, settings: Label
) -> Iterator[tuple[_Packed, AudioWindow] | Rejected]:
    for window in pack(found, window_samples, settings.pack):
        yield window if isinstance(window, Rejected) else _sound(window)


def _sound(window: Window[Utterance]) -> tuple[_Packed, AudioWindow]:
    packed = _Packed(
        window_id=window.window_id,
        utterance_ids=tuple(utterance.id for utterance in window.utterances),
        offsets_s=tuple(window.offsets_s),
        num_samples=window.num_samples,
        previous_window_id=window.previous_window_id,
    )
    samples = np.concatenate([utterance.samples for utterance in window.utterances])
    return packed, AudioWindow(packed.window_id, samples)


def _labels(heard: Sequence[tuple[_Packed, Transcript]], language: str) -> pa.RecordBatch:
    rows = [
        {
            "window_id": window.window_id,
            "utterance_ids": window.utterance_ids,
            "offsets_s": window.offsets_s,
            "duration_s": window.num_samples / SAMPLE_RATE_HZ,
            "pseudo_text": transcript.text,
            "pseudo_tokens": transcript.tokens,
            "previous_window_id": window.previous_window_id,
            "avg_logprob": transcript.avg_logprob,
            "no_speech_prob": transcript.no_speech_prob,
            "compression_ratio": transcript.compression_ratio,
            "temperature": transcript.temperature,
            "flags": transcript.flags,
            "language": language,
        }
        for window, transcript in heard
    ]
    return pa.RecordBatch.from_pylist(rows, schema=LABELS)
