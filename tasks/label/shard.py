"""Labels one shard: utterances are packed into windows and transcribed by the teacher."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from configs.schema import Label
from storage.outcome import Outcomes, Rejected
from tasks.audio import SAMPLE_RATE_HZ
from tasks.corpora.base import SpeakerIds
from tasks.label.schema import LABELS
from tasks.label.windows import Policy, Window, pack
from tasks.whisper.engine import AudioWindow, Engine
from tasks.whisper.quality import Transcript
from tasks.whisper.streaming import Utterance, decode_utterances, in_batches, prefetch
from tasks.whisper.transcribe import transcribe_all

_BATCH_WINDOWS: Final = 64


@dataclass(frozen=True, slots=True)
class _WindowMetadata:
    """The columns of a label that come from its window; holds no audio."""

    window_id: str
    utterance_ids: tuple[str, ...]
    offsets_s: tuple[float, ...]
    num_samples: int
    previous_window_id: str | None


def label_shard(
    batches: Iterable[pa.RecordBatch],
    engine: Engine,
    settings: Label,
    *,
    num_threads: int = 2,
    speaker_ids: SpeakerIds = "corpus",
) -> Outcomes:
    """Yield labels (LABELS) for normalised batches (NORMALISED), as their windows are filled.

    Utterances are packed by `settings.pack` and `speaker_ids` into windows of the engine's length;
    see `pack`. `num_threads` threads decode and pack at most `NUM_AHEAD` windows ahead of the
    engine, so memory does not grow with the shard; see `transcribe_all`. Dropped:
    `longer_than_window`; quarantined: `unreadable_audio`. Raises `UserError` for a language that
    the teacher does not support, `ShardError` when the device cannot hold a single window.
    """
    with (
        closing(decode_utterances(batches, num_threads)) as utterances,
        closing(
            prefetch(_audio_windows(utterances, engine.window_samples, settings.pack, speaker_ids))
        ) as windows,
    ):
        for batch in in_batches(transcribe_all(engine, windows, settings), _BATCH_WINDOWS):
            yield batch if isinstance(batch, Rejected) else _labels(batch, settings.language)


def _audio_windows(
    utterances: Iterable[Utterance | Rejected],
    window_samples: int,
    policy: Policy,
    speaker_ids: SpeakerIds,
) -> Iterator[tuple[_WindowMetadata, AudioWindow] | Rejected]:
    for window in pack(utterances, window_samples, policy, speaker_ids):
        yield window if isinstance(window, Rejected) else _audio_window(window)


def _audio_window(window: Window[Utterance]) -> tuple[_WindowMetadata, AudioWindow]:
    metadata = _WindowMetadata(
        window_id=window.window_id,
        utterance_ids=tuple(utterance.id for utterance in window.utterances),
        offsets_s=tuple(window.offsets_s),
        num_samples=window.num_samples,
        previous_window_id=window.previous_window_id,
    )
    samples = np.concatenate([utterance.samples for utterance in window.utterances])
    return metadata, AudioWindow(metadata.window_id, samples)


def _labels(
    transcripts: Sequence[tuple[_WindowMetadata, Transcript]], language: str
) -> pa.RecordBatch:
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
            "num_segments": transcript.num_segments,
            "last_segment_end_s": transcript.end_s,
            "flags": transcript.flags,
            "language": language,
        }
        for window, transcript in transcripts
    ]
    return pa.RecordBatch.from_pylist(rows, schema=LABELS)
