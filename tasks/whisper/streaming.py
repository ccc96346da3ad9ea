"""Streams a shard through an engine: decode utterances ahead, prefetch windows, batch the results.

Order is preserved and memory bounded; rejected rows pass through in their place.
"""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import pyarrow as pa

from storage.outcome import Rejected, dropped, quarantined
from tasks.audio import SAMPLE_RATE_HZ, AudioError, Samples, decode_flac
from tasks.read_ahead import read_ahead

T = TypeVar("T")

NUM_AHEAD: Final = 32
"""Decoded utterances, and as many windows, that wait for the engine; 2 MB each at 30 s."""


class HasLength(Protocol):
    """An utterance with an id and a length."""

    @property
    def id(self) -> str:
        """Its id, unique in a corpus."""

    @property
    def num_samples(self) -> int:
        """Its length in samples at 16 kHz."""


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
        """The length in samples at 16 kHz."""
        return len(self.samples)


def decode_utterances(
    batches: Iterable[pa.RecordBatch], num_threads: int, num_ahead: int = NUM_AHEAD
) -> Generator[Utterance | Rejected, None, None]:
    """Decode the rows of normalised batches (NORMALISED), up to `num_ahead` rows ahead.

    Rows that cannot be decoded are quarantined (`unreadable_audio`). Close the generator to stop
    its threads.
    """
    rows = (row for batch in batches for row in batch.to_pylist())
    return read_ahead(rows, _decode, num_threads=num_threads, num_ahead=num_ahead)


def prefetch(items: Iterator[T]) -> Generator[T, None, None]:
    """Draw up to `NUM_AHEAD` items ahead in a thread; close the generator to stop it."""
    return read_ahead(items, lambda item: item, num_threads=1, num_ahead=NUM_AHEAD)


def in_batches(items: Iterable[T | Rejected], size: int) -> Iterator[list[T] | Rejected]:
    """Group neighbouring items, at most `size` together; rejected rows stay in their place."""
    batch: list[T] = []
    for item in items:
        is_rejected = isinstance(item, Rejected)
        if batch and (is_rejected or len(batch) == size):
            yield batch
            batch = []
        if isinstance(item, Rejected):
            yield item
        else:
            batch.append(item)
    if batch:
        yield batch


def reject_too_long(utterance: HasLength, window_samples: int) -> Rejected | None:
    """Drop an utterance that is longer than a window (`longer_than_window`); None if it fits."""
    if utterance.num_samples <= window_samples:
        return None
    duration_s = utterance.num_samples / SAMPLE_RATE_HZ
    window_s = window_samples / SAMPLE_RATE_HZ
    detail = f"{duration_s:.4f} s > {window_s:g} s"
    return dropped(utterance.id, "longer_than_window", detail)


def _decode(row: dict[str, Any]) -> Utterance | Rejected:
    try:
        samples = decode_flac(row["audio"]["bytes"])
    except AudioError as error:
        return quarantined(row["id"], "unreadable_audio", str(error))
    if not len(samples):
        return quarantined(row["id"], "unreadable_audio", "no samples")
    return Utterance(row["id"], row["recording_id"], row["speaker_id"], row["raw_text"], samples)
