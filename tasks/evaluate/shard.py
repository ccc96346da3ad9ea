"""Evaluates one model on one shard of held-out speech: transcribe, then count word errors."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import pyarrow as pa

from configs.schema import Label, Score
from storage.outcome import Outcomes, Rejected, dropped
from tasks.audio import SAMPLE_RATE_HZ
from tasks.corpora.base import Clean, NoReference
from tasks.evaluate.long_form.pauses import cut_at_pauses
from tasks.evaluate.schema import MEASURED
from tasks.text.comparison import comparison_of, count_word_errors, normaliser
from tasks.whisper.engine import AudioWindow, Engine
from tasks.whisper.quality import Transcript
from tasks.whisper.streaming import (
    Utterance,
    decode_utterances,
    in_batches,
    prefetch,
)
from tasks.whisper.transcribe import transcribe_all

_BATCH_UTTERANCES: Final = 64


@dataclass(frozen=True, slots=True)
class _ReferenceUtterance:
    """An utterance without its audio, and the reference for its transcript."""

    id: str
    num_samples: int
    reference: str  # normalised


@dataclass(frozen=True, slots=True)
class _Segment:
    """A segment of an utterance, up to sample `end`, that fits into a window."""

    utterance: _ReferenceUtterance
    end: int

    @property
    def is_last(self) -> bool:
        """Whether it is the last segment of its utterance."""
        return self.end == self.utterance.num_samples


def measure_shard(
    batches: Iterable[pa.RecordBatch],
    engine: Engine,
    clean: Clean,
    label: Label,
    score: Score,
    *,
    num_threads: int = 2,
) -> Outcomes:
    """Yield transcripts and word errors (MEASURED) for normalised batches, in their order.

    Each utterance is transcribed by itself, with the engine and settings used for labelling so that
    teacher and student are comparable, but greedily and without timestamps. An utterance longer
    than a window is split at pauses and its transcript is the concatenation. Dropped: for the
    reason that `clean` gives if there is no reference, `empty_reference` if nothing remains of it;
    quarantined: `unreadable_audio`. `num_threads` and errors as in `label_shard`.
    """
    normalise = normaliser(comparison_of(score, label).normaliser)
    with (
        closing(_utterances(batches, num_threads, engine.window_samples)) as utterances,
        closing(
            prefetch(_segments(utterances, clean, normalise, engine.window_samples))
        ) as segments,
    ):
        transcripts = transcribe_all(engine, segments, evaluation_settings(label))
        for batch in in_batches(_join_segments(transcripts), _BATCH_UTTERANCES):
            yield batch if isinstance(batch, Rejected) else _measured(batch, normalise)


def evaluation_settings(settings: Label) -> Label:
    """Decode greedily, without fallback and timestamps: those are no words, and take time."""
    return settings.model_copy(update={"timestamps": False, "temperatures": (0.0,)})


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


def _segments(
    utterances: Iterable[Utterance | Rejected],
    clean: Clean,
    normalise: Callable[[str], str],
    window_samples: int,
) -> Iterator[tuple[_Segment, AudioWindow] | Rejected]:
    for utterance in utterances:
        if isinstance(utterance, Rejected):
            yield utterance
        elif isinstance(text := clean(utterance.raw_text), NoReference):
            yield dropped(utterance.id, text.reason, utterance.raw_text)
        elif not (reference := normalise(text)):
            yield dropped(utterance.id, "empty_reference", utterance.raw_text)
        else:
            without_audio = _ReferenceUtterance(utterance.id, utterance.num_samples, reference)
            for start, end in cut_at_pauses(utterance.samples, window_samples):
                window = AudioWindow(f"{utterance.id}@{start}", utterance.samples[start:end])
                yield _Segment(without_audio, end), window


def _join_segments(
    transcripts: Iterable[tuple[_Segment, Transcript] | Rejected],
) -> Iterator[tuple[_ReferenceUtterance, str] | Rejected]:
    """Yield each utterance with the joined text of its segments, which are consecutive."""
    texts: list[str] = []
    for item in transcripts:
        if isinstance(item, Rejected):
            yield item
            continue
        segment, transcript = item
        texts.append(transcript.text)
        if segment.is_last:
            yield segment.utterance, " ".join(texts)
            texts = []


def _measured(
    transcribed: Sequence[tuple[_ReferenceUtterance, str]], normalise: Callable[[str], str]
) -> pa.RecordBatch:
    references = [utterance.reference for utterance, _ in transcribed]
    hypotheses = [normalise(text) for _, text in transcribed]
    rows = [
        {
            "id": utterance.id,
            "duration_s": utterance.num_samples / SAMPLE_RATE_HZ,
            "reference": utterance.reference,
            "hypothesis": hypothesis,
            "num_reference_words": errors.num_reference_words,
            "hits": errors.hits,
            "substitutions": errors.substitutions,
            "deletions": errors.deletions,
            "insertions": errors.insertions,
        }
        for (utterance, _), hypothesis, errors in zip(
            transcribed, hypotheses, count_word_errors(references, hypotheses), strict=True
        )
    ]
    return pa.RecordBatch.from_pylist(rows, schema=MEASURED)
