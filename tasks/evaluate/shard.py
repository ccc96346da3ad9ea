"""One shard of held-out speech, transcribed by one model and compared with its references."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from configs.schema import Label, Score
from storage.outcome import Outcomes, Rejected, dropped
from tasks.audio import SAMPLE_RATE_HZ
from tasks.corpora.base import Clean, NoReference
from tasks.evaluate.long_form import cut_at_pauses
from tasks.evaluate.schema import MEASURED
from tasks.label.shard import Utterance, ahead, in_batches, utterances
from tasks.label.windows import too_long
from tasks.text.comparison import comparison_of, count_word_errors, normaliser
from tasks.whisper.engine import AudioWindow, Engine
from tasks.whisper.safety import Transcript
from tasks.whisper.transcribe import transcribe_all

_BATCH_UTTERANCES: Final = 64


@dataclass(frozen=True, slots=True)
class _Measurable:
    """An utterance without its sound, and the text that its transcript is held against."""

    id: str
    num_samples: int
    reference: str  # normalised


@dataclass(frozen=True, slots=True)
class _Piece:
    """What is heard of an utterance at once: all of it, or the samples up to `end`."""

    of: _Measurable
    end: int

    @property
    def is_last(self) -> bool:
        """Whether nothing of the utterance follows."""
        return self.end == self.of.num_samples


def measure_shard(
    batches: Iterable[pa.RecordBatch],
    engine: Engine,
    clean: Clean,
    label: Label,
    score: Score,
    *,
    whole_recordings: bool = False,
    num_threads: int = 2,
) -> Outcomes:
    """Transcripts and their errors (MEASURED) for normalised batches (NORMALISED), in their order.

    Each utterance is heard alone, by an engine and under the settings that label, so that teacher
    and student are compared like with like, but greedily and without timestamps. With
    `whole_recordings` one that is longer than a window is heard piece by piece, cut at pauses, and
    its transcript is that of its pieces; otherwise it is dropped (`longer_than_window`).
    Dropped: for the reason that `clean` gives where there is no reference, `empty_reference` where
    nothing of it is left; quarantined: `unreadable_audio`. `num_threads` and errors as in
    `label_shard`.
    """
    normalise = normaliser(comparison_of(score, label).normaliser)
    with (
        closing(_decoded(batches, num_threads, whole_recordings)) as found,
        closing(
            ahead(_pieces(found, clean, normalise, engine.window_samples, whole_recordings))
        ) as pieces,
    ):
        heard = transcribe_all(engine, pieces, plainly(label))
        for batch in in_batches(_joined(heard), _BATCH_UTTERANCES):
            yield batch if isinstance(batch, Rejected) else _measured(batch, normalise)


def _decoded(
    batches: Iterable[pa.RecordBatch], num_threads: int, whole_recordings: bool
) -> Generator[Utterance | Rejected, None, None]:
    if whole_recordings:  # an hour decoded is 230 MB
        return utterances(batches, num_threads=1, num_ahead=1)
    return utterances(batches, num_threads)


def plainly(settings: Label) -> Label:
    """The same, heard once and without timestamps, which are no words and take time."""
    return settings.model_copy(update={"timestamps": False, "temperatures": (0.0,)})


def _pieces(
    found: Iterable[Utterance | Rejected],
    clean: Clean,
    normalise: Callable[[str], str],
    window_samples: int,
    whole_recordings: bool,
) -> Iterator[tuple[_Piece, AudioWindow] | Rejected]:
    for utterance in found:
        if isinstance(utterance, Rejected):
            yield utterance
        elif isinstance(text := clean(utterance.raw_text), NoReference):
            yield dropped(utterance.id, text.reason, utterance.raw_text)
        elif not (reference := normalise(text)):
            yield dropped(utterance.id, "empty_reference", utterance.raw_text)
        elif not whole_recordings and (rejected := too_long(utterance, window_samples)):
            yield rejected
        else:
            whole = _Measurable(utterance.id, utterance.num_samples, reference)
            for start, end in cut_at_pauses(utterance.samples, window_samples):
                sound = AudioWindow(f"{utterance.id}@{start}", utterance.samples[start:end])
                yield _Piece(whole, end), sound


def _joined(
    heard: Iterable[tuple[_Piece, Transcript] | Rejected],
) -> Iterator[tuple[_Measurable, str] | Rejected]:
    """Each utterance with the text of all its pieces, which follow one another."""
    texts: list[str] = []
    for one in heard:
        if isinstance(one, Rejected):
            yield one
            continue
        piece, transcript = one
        texts.append(transcript.text)
        if piece.is_last:
            yield piece.of, " ".join(texts)
            texts = []


def _measured(
    heard: Sequence[tuple[_Measurable, str]], normalise: Callable[[str], str]
) -> pa.RecordBatch:
    references = [measurable.reference for measurable, _ in heard]
    hypotheses = [normalise(text) for _, text in heard]
    rows = [
        {
            "id": measurable.id,
            "duration_s": measurable.num_samples / SAMPLE_RATE_HZ,
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
