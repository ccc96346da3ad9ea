"""Evaluates one model on one shard of held-out speech: transcribe, then count word errors."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Final, TypeAlias

import pyarrow as pa

from configs.schema import Label, Score
from storage.outcome import Outcomes, Rejected
from tasks.audio import SAMPLE_RATE_HZ
from tasks.corpora.base import Clean, SpeakerIds
from tasks.evaluate.schema import MEASURED
from tasks.evaluate.short_form import transcribe_utterances
from tasks.evaluate.spoken import Speech, Spoken, speech_of
from tasks.text.comparison import character_edits, comparison_of, count_word_errors, normaliser
from tasks.whisper.engine import Engine
from tasks.whisper.streaming import in_batches

_BATCH_UTTERANCES: Final = 64

Transcribe: TypeAlias = Callable[[Engine, Speech, Label], Iterator[tuple[Spoken, str] | Rejected]]
"""Yields what was spoken with its text, in order; rejected rows pass through."""


def measure_shard(
    batches: Iterable[pa.RecordBatch],
    engine: Engine,
    clean: Clean,
    label: Label,
    score: Score,
    *,
    prepare: Callable[[Speech], Speech] = iter,
    transcribe: Transcribe = transcribe_utterances,
    speaker_ids: SpeakerIds = "corpus",
    num_threads: int = 2,
) -> Outcomes:
    """Yield transcripts and word errors (MEASURED) for normalised batches, in their order.

    By default each utterance is transcribed by itself, with the engine and settings used for
    labelling so that teacher and student are comparable, but greedily and without timestamps.
    `prepare` changes the speech before, `transcribe` is how it is done. With `speaker_ids`
    `recording` a speaker is one of a recording. Rejects what `speech_of` rejects. `num_threads` and
    errors as in `label_shard`.
    """
    normalise = normaliser(comparison_of(score, label).normaliser)
    speech = speech_of(
        batches,
        clean,
        normalise,
        num_threads=num_threads,
        window_samples=engine.window_samples,
    )
    with closing(speech):
        texts = transcribe(engine, prepare(speech), label)
        for batch in in_batches(texts, _BATCH_UTTERANCES):
            yield batch if isinstance(batch, Rejected) else _measured(batch, normalise, speaker_ids)


def _measured(
    transcribed: Sequence[tuple[Spoken, str]],
    normalise: Callable[[str], str],
    speaker_ids: SpeakerIds,
) -> pa.RecordBatch:
    references = [spoken.reference for spoken, _ in transcribed]
    hypotheses = [normalise(text) for _, text in transcribed]
    words = count_word_errors(references, hypotheses)
    num_chars, char_errors = character_edits(references, hypotheses)
    rows = [
        {
            "id": spoken.id,
            "utterance_ids": spoken.utterance_ids,
            "speaker_id": _speaker(spoken, speaker_ids),
            "duration_s": spoken.num_samples / SAMPLE_RATE_HZ,
            "reference": spoken.reference,
            "hypothesis": hypotheses[index],
            "num_reference_words": words[index].num_reference_words,
            "hits": words[index].hits,
            "substitutions": words[index].substitutions,
            "deletions": words[index].deletions,
            "insertions": words[index].insertions,
            "num_reference_chars": num_chars[index],
            "char_errors": char_errors[index],
            "snr_db": spoken.snr_db,
        }
        for index, (spoken, _) in enumerate(transcribed)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=MEASURED)


def _speaker(spoken: Spoken, speaker_ids: SpeakerIds) -> str | None:
    if spoken.speaker_id is None or speaker_ids == "corpus":
        return spoken.speaker_id
    return f"{spoken.recording_id}/{spoken.speaker_id}"
