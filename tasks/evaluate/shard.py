"""One shard of held-out speech, transcribed by one model and compared with its references."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from configs.schema import Label, Score
from storage.outcome import LeftOut, Outcomes, dropped
from storage.schema import MEASURED, SAMPLE_RATE_HZ
from tasks.audio import Samples
from tasks.label.shard import Utterance, utterances
from tasks.label.teacher import Transcriber
from tasks.label.transcribe import Transcript, transcribe_all
from tasks.label.windows import too_long
from tasks.text import count_word_errors, normaliser


@dataclass(frozen=True, slots=True)
class _Measurable:
    """An utterance with the normalised text that its transcript is held against."""

    utterance: Utterance
    reference: str


def measure_shard(
    batches: Iterable[pa.RecordBatch],
    transcriber: Transcriber,
    clean: Callable[[str], str | None],
    label: Label,
    score: Score,
    batch_size: int,
) -> Outcomes:
    """Transcripts and their errors (MEASURED) for normalised batches (NORMALISED), in their order.

    Each utterance is heard alone, by the decoder and under the settings that label, so that teacher
    and student are compared like with like, but never with timestamps: words are what counts.
    Dropped: `text_rule` where the corpus's rules give no
    reference, `empty_reference` where nothing of it is left, `longer_than_window`; quarantined:
    `unreadable_audio`. Raises as `label_shard`.
    """
    normalise = normaliser(score.normaliser)
    found = _measurable(utterances(batches), transcriber.window_samples, clean, normalise)
    settings = words_only(label)
    for heard in transcribe_all(transcriber, found, _waveform, settings, batch_size):
        yield heard if isinstance(heard, LeftOut) else _measured(heard, normalise)


def words_only(settings: Label) -> Label:
    """The same without timestamps, which are no words and take time."""
    return settings.model_copy(update={"timestamps": False})


def _measurable(
    found: Iterable[Utterance | LeftOut],
    window_samples: int,
    clean: Callable[[str], str | None],
    normalise: Callable[[str], str],
) -> Iterator[_Measurable | LeftOut]:
    for utterance in found:
        if isinstance(utterance, LeftOut):
            yield utterance
        elif (text := clean(utterance.raw_text)) is None:
            yield dropped(utterance.id, "text_rule", utterance.raw_text)
        elif not (reference := normalise(text)):
            yield dropped(utterance.id, "empty_reference", utterance.raw_text)
        else:
            left_out = too_long(utterance, window_samples)
            yield left_out or _Measurable(utterance, reference)


def _waveform(measurable: _Measurable) -> Samples:
    return measurable.utterance.samples


def _measured(
    heard: Sequence[tuple[_Measurable, Transcript]], normalise: Callable[[str], str]
) -> pa.RecordBatch:
    references = [measurable.reference for measurable, _ in heard]
    hypotheses = [normalise(transcript.text) for _, transcript in heard]
    rows = [
        {
            "id": measurable.utterance.id,
            "duration_s": measurable.utterance.num_samples / SAMPLE_RATE_HZ,
            "reference": measurable.reference,
            "hypothesis": hypothesis,
            "num_reference_words": errors.num_reference_words,
            "hits": errors.hits,
            "substitutions": errors.substitutions,
            "deletions": errors.deletions,
            "insertions": errors.insertions,
        }
        for (measurable, _), hypothesis, errors in zip(
            heard, hypotheses, count_word_errors(references, hypotheses), strict=True
        )
    ]
    return pa.RecordBatch.from_pylist(rows, schema=MEASURED)
