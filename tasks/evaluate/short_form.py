"""Transcribes utterances by themselves; one that is longer than a window is cut at pauses."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

from configs.schema import Label
from storage.outcome import Rejected
from tasks.evaluate.long_form.pauses import cut_at_pauses
from tasks.evaluate.spoken import Speech, Spoken
from tasks.whisper.engine import AudioWindow, Engine
from tasks.whisper.quality import Transcript
from tasks.whisper.streaming import prefetch
from tasks.whisper.transcribe import transcribe_all


@dataclass(frozen=True, slots=True)
class _Segment:
    """A segment of an utterance, up to sample `end`, that fits into a window."""

    spoken: Spoken
    end: int

    @property
    def is_last(self) -> bool:
        """Whether it is the last segment of its utterance."""
        return self.end == self.spoken.num_samples


def transcribe_utterances(
    engine: Engine, speech: Speech, settings: Label
) -> Iterator[tuple[Spoken, str] | Rejected]:
    """Yield utterances with their text, in their order; raises what `transcribe_all` raises.

    Decodes with `evaluation_settings`. The text of a long one is the concatenation over its
    segments.
    """
    with closing(prefetch(_segments(speech, engine.window_samples))) as segments:
        yield from _joined(transcribe_all(engine, segments, evaluation_settings(settings)))


def evaluation_settings(settings: Label) -> Label:
    """Decode greedily, without fallback and timestamps: those are no words, and take time."""
    return settings.model_copy(update={"timestamps": False, "temperatures": (0.0,)})


def _segments(
    speech: Speech, window_samples: int
) -> Iterator[tuple[_Segment, AudioWindow] | Rejected]:
    for item in speech:
        if isinstance(item, Rejected):
            yield item
            continue
        spoken, samples = item
        for start, end in cut_at_pauses(samples, window_samples):
            yield _Segment(spoken, end), AudioWindow(f"{spoken.id}@{start}", samples[start:end])


def _joined(
    transcripts: Iterable[tuple[_Segment, Transcript] | Rejected],
) -> Iterator[tuple[Spoken, str] | Rejected]:
    """Yield each utterance with the joined text of its segments, which are consecutive."""
    texts: list[str] = []
    for item in transcripts:
        if isinstance(item, Rejected):
            yield item
            continue
        segment, transcript = item
        texts.append(transcript.text)
        if segment.is_last:
            yield segment.spoken, " ".join(texts)
            texts = []
