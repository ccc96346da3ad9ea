"""Held-out speech with its reference, ready to be transcribed."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

import pyarrow as pa

from storage.outcome import Rejected, dropped
from tasks.audio import SAMPLE_RATE_HZ, Samples
from tasks.corpora.base import Clean, NoReference
from tasks.whisper.streaming import Utterance, decode_utterances


@dataclass(frozen=True, kw_only=True, slots=True)
class Spoken:
    """What was spoken, without its audio: an utterance, or a recording of several.

    `text` is what was said, and `reference` the same normalised. `snr_db` is the measured ratio of
    speech to added noise, None without noise.
    """

    id: str
    utterance_ids: tuple[str, ...]
    recording_id: str
    speaker_id: str | None
    num_samples: int
    text: str
    reference: str
    snr_db: float | None = None


Speech: TypeAlias = Iterator[tuple[Spoken, Samples] | Rejected]
"""What was spoken with its audio, (samples,) float32 at 16 kHz; rejected rows in their place."""


def speech_of(
    batches: Iterable[pa.RecordBatch],
    clean: Clean,
    normalise: Callable[[str], str],
    *,
    num_threads: int,
    window_samples: int,
) -> Generator[tuple[Spoken, Samples] | Rejected, None, None]:
    """The utterances of normalised batches (NORMALISED) with their references.

    Dropped: for the reason that `clean` gives if there is no reference, `empty_reference` if
    nothing remains of it; quarantined: `unreadable_audio`. Close it to stop its threads.
    """
    for utterance in _utterances(batches, num_threads, window_samples):
        if isinstance(utterance, Rejected):
            yield utterance
        elif isinstance(text := clean(utterance.raw_text), NoReference):
            yield dropped(utterance.id, text.reason, utterance.raw_text)
        elif not (reference := normalise(text)):
            yield dropped(utterance.id, "empty_reference", utterance.raw_text)
        else:
            spoken = Spoken(
                id=utterance.id,
                utterance_ids=(utterance.id,),
                recording_id=utterance.recording_id,
                speaker_id=utterance.speaker_id,
                num_samples=utterance.num_samples,
                text=text,
                reference=reference,
            )
            yield spoken, utterance.samples


def _utterances(
    batches: Iterable[pa.RecordBatch], num_threads: int, window_samples: int
) -> Generator[Utterance | Rejected, None, None]:
    """Decode ahead; those longer than a window one at a time, since a decoded hour is 230 MB."""

    def is_long(row: pa.RecordBatch) -> bool:
        duration_s: float = row.column("duration_s")[0].as_py()
        return duration_s * SAMPLE_RATE_HZ > window_samples

    rows = (batch.slice(index, 1) for batch in batches for index in range(batch.num_rows))
    for long_rows, group in groupby(rows, key=is_long):
        if long_rows:
            yield from decode_utterances(group, num_threads=1, num_ahead=1)
        else:
            yield from decode_utterances(group, num_threads)
