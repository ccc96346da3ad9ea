"""One shard's utterances become one shard's labels."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from configs.schema import Label
from storage.outcome import LeftOut, Outcomes, quarantined
from storage.schema import LABELS, SAMPLE_RATE_HZ
from tasks.audio import AudioError, Samples, decode_flac
from tasks.label.teacher import Transcriber
from tasks.label.transcribe import Transcript, transcribe_all
from tasks.label.windows import Window, pack

_TEMPERATURE = 0.0  # greedy


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


def label_shard(
    batches: Iterable[pa.RecordBatch], teacher: Transcriber, settings: Label, batch_size: int
) -> Outcomes:
    """Labels of the schema LABELS from normalised batches (NORMALISED), in their order.

    Utterances are packed by `settings.pack` into windows of the teacher's length. Memory holds one
    input batch and `batch_size` windows, however long the shard is. Dropped: `longer_than_window`;
    quarantined: `unreadable_audio`. Raises `UserError` for a language that the teacher does not
    know, `ShardError` when the device has no memory for one window.
    """
    windows = pack(utterances(batches), teacher.window_samples, settings.pack)
    for heard in transcribe_all(teacher, windows, _waveform, settings, batch_size):
        yield heard if isinstance(heard, LeftOut) else _labels(heard, settings.language)


def utterances(batches: Iterable[pa.RecordBatch]) -> Iterator[Utterance | LeftOut]:
    """Decode the rows of normalised batches one by one; what cannot be decoded is quarantined."""
    for batch in batches:
        for row in batch.to_pylist():
            try:
                samples = decode_flac(row["audio"]["bytes"])
            except AudioError as error:
                yield quarantined(row["id"], "unreadable_audio", str(error))
                continue
            if not len(samples):
                yield quarantined(row["id"], "unreadable_audio", "no samples")
                continue
            yield Utterance(
                row["id"], row["recording_id"], row["speaker_id"], row["raw_text"], samples
            )


def _waveform(window: Window[Utterance]) -> Samples:
    return np.concatenate([utterance.samples for utterance in window.utterances])


def _labels(heard: Sequence[tuple[Window[Utterance], Transcript]], language: str) -> pa.RecordBatch:
    rows = [
        {
            "window_id": window.window_id,
            "utterance_ids": [utterance.id for utterance in window.utterances],
            "offsets_s": window.offsets_s,
            "duration_s": window.num_samples / SAMPLE_RATE_HZ,
            "pseudo_text": transcript.text,
            "pseudo_tokens": transcript.tokens,
            "previous_window_id": window.previous_window_id,
            "avg_logprob": transcript.avg_logprob,
            "no_speech_prob": transcript.no_speech_prob,
            "compression_ratio": transcript.compression_ratio,
            "temperature": _TEMPERATURE,
            "language": language,
        }
        for window, transcript in heard
    ]
    return pa.RecordBatch.from_pylist(rows, schema=LABELS)
