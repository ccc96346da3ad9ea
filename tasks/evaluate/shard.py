"""One shard of held-out speech, transcribed by one model and compared with its references."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from configs.schema import Label, Score
from storage.outcome import LeftOut, Outcomes, dropped
from storage.schema import MEASURED, SAMPLE_RATE_HZ
from tasks.audio import Samples
from tasks.corpora.base import Clean, NoReference
from tasks.evaluate.long_form import cut_at_pauses
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


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is heard of an utterance at once: all of it, or samples from `start` to `end`."""

    of: _Measurable
    start: int
    end: int

    @property
    def is_last(self) -> bool:
        """Whether nothing of the utterance follows."""
        return self.end == self.of.utterance.num_samples


def measure_shard(
    batches: Iterable[pa.RecordBatch],
    transcriber: Transcriber,
    clean: Clean,
    label: Label,
    score: Score,
    batch_size: int,
    *,
    whole_recordings: bool = False,
) -> Outcomes:
    """Transcripts and their errors (MEASURED) for normalised batches (NORMALISED), in their order.

    Each utterance is heard alone, by the decoder and under the settings that label, so that teacher
    and student are compared like with like, but never with timestamps: words are what counts. With
    `whole_recordings` one that is longer than a window is heard piece by piece, cut at pauses, and
    its transcript is that of its pieces; otherwise it is dropped (`longer_than_window`).
    Dropped: for the reason that `clean` gives where there is no reference, `empty_reference` where
    nothing of it is left; quarantined: `unreadable_audio`. Raises as `label_shard`.
    """
    normalise = normaliser(score.normaliser)
    window_samples = transcriber.window_samples
    found = _measurable(utterances(batches), clean, normalise)
    pieces = _pieces(found, window_samples, whole_recordings=whole_recordings)
    begun: list[str] = []
    for heard in transcribe_all(transcriber, pieces, _waveform, words_only(label), batch_size):
        if isinstance(heard, LeftOut):
            yield heard
        elif whole := _joined(heard, begun):
            yield _measured(whole, normalise)


def words_only(settings: Label) -> Label:
    """The same without timestamps, which are no words and take time."""
    return settings.model_copy(update={"timestamps": False})


def _measurable(
    found: Iterable[Utterance | LeftOut], clean: Clean, normalise: Callable[[str], str]
) -> Iterator[_Measurable | LeftOut]:
    for utterance in found:
        if isinstance(utterance, LeftOut):
            yield utterance
        elif isinstance(text := clean(utterance.raw_text), NoReference):
            yield dropped(utterance.id, text.reason, utterance.raw_text)
        elif not (reference := normalise(text)):
            yield dropped(utterance.id, "empty_reference", utterance.raw_text)
        else:
            yield _Measurable(utterance, reference)


def _pieces(
    found: Iterable[_Measurable | LeftOut], window_samples: int, *, whole_recordings: bool
) -> Iterator[_Piece | LeftOut]:
    for one in found:
        if isinstance(one, LeftOut):
            yield one
        elif whole_recordings:
            for start, end in cut_at_pauses(one.utterance.samples, window_samples):
                yield _Piece(one, start, end)
        else:
            left_out = too_long(one.utterance, window_samples)
            yield left_out or _Piece(one, 0, one.utterance.num_samples)


def _waveform(piece: _Piece) -> Samples:
    return piece.of.utterance.samples[piece.start : piece.end]


def _joined(
    heard: Sequence[tuple[_Piece, Transcript]], begun: list[str]
) -> list[tuple[_Measurable, str]]:
    """The utterances that end here with all their text; `begun` is what of the next was heard."""
    whole: list[tuple[_Measurable, str]] = []
    for piece, transcript in heard:
        begun.append(transcript.text)
        if piece.is_last:
            whole.append((piece.of, " ".join(begun)))
            begun.clear()
    return whole


def _measured(
    heard: Sequence[tuple[_Measurable, str]], normalise: Callable[[str], str]
) -> pa.RecordBatch:
    references = [measurable.reference for measurable, _ in heard]
    hypotheses = [normalise(text) for _, text in heard]
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
