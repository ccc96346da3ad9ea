"""Sequential transcription of long recordings: each window begins where the last timestamp was.

The algorithm is `transcribe` of openai/whisper (whisper/transcribe.py) without previous text as a
prompt (`condition_on_previous_text=False`). The windows of a recording depend on each other, so
several recordings advance at the same time.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeVar

from configs.schema import Label
from storage.outcome import Rejected
from tasks.audio import SAMPLE_RATE_HZ, Samples
from tasks.whisper.engine import AudioWindow, DecodingResult
from tasks.whisper.excerpt import FRAME_SAMPLES, Excerpt
from tasks.whisper.in_order import run_in_order
from tasks.whisper.quality import NO_SPEECH, check_quality, next_temperature
from tasks.whisper.transcribe import MAX_PENDING
from tasks.whisper.whisper import WhisperEngine

T = TypeVar("T")

MAX_AUDIO_S: Final = 4 * 3600
"""Audio of recordings that have begun, in seconds; four hours are 920 MB."""


@dataclass(slots=True)
class _Progress(Generic[T]):
    """A recording that is transcribed up to frame `seek`; its audio is released at the end."""

    metadata: T
    number: int
    samples: Samples
    engine: WhisperEngine
    settings: Label
    peak: float
    seek: int = 0
    tokens: list[int] = field(default_factory=list)

    def window(self) -> AudioWindow:
        """The window that begins at `seek`, the last one of a recording shorter than the others."""
        start = self.seek * FRAME_SAMPLES
        window = self.samples[start : start + self.engine.window_samples]
        excerpt = Excerpt.between(self.samples, start, start + len(window), self.peak)
        return AudioWindow(f"{self.number}@{self.seek}", window, excerpt=excerpt)

    def following(self, window: AudioWindow, result: DecodingResult) -> AudioWindow | None:
        """The window again at a higher temperature, or the next one."""
        transcript = check_quality(result, self.settings, window)
        if (temperature := next_temperature(transcript, self.settings)) is not None:
            return replace(window, temperature=temperature)
        num_frames = len(window.samples) // FRAME_SAMPLES
        if NO_SPEECH not in transcript.flags:
            self.tokens += self.engine.text_tokens(result.tokens)
            if result.rest is not None:
                num_frames = result.rest.seek
        self.seek += num_frames
        if self.seek < len(self.samples) // FRAME_SAMPLES:
            return self.window()
        self.samples = self.samples[:0].copy()
        return None


def transcribe_sequential(
    engine: WhisperEngine,
    recordings: Iterable[tuple[T, Samples] | Rejected],
    settings: Label,
    *,
    max_audio_s: float = MAX_AUDIO_S,
) -> Iterator[tuple[T, str] | Rejected]:
    """Transcribe recordings of any length, in their order; rejected rows pass through.

    A recording is (samples,) float32 at 16 kHz, and comes with metadata of the caller's choice,
    which is yielded with its text. Decodes with timestamps, and again at the next of
    `settings.temperatures` what openai/whisper would. As many recordings advance together as the
    engine decodes windows, but no new one begins while those in memory exceed `max_audio_s`
    seconds. Raises what the engine raises.
    """
    settings = settings.model_copy(update={"timestamps": True})

    def begun() -> Iterator[tuple[_Progress[T], AudioWindow] | Rejected]:
        for number, item in enumerate(recordings):
            if isinstance(item, Rejected):
                yield item
                continue
            metadata, samples = item
            peak = engine.log_mel_peak(samples)
            progress = _Progress(metadata, number, samples, engine, settings, peak)
            yield progress, progress.window()

    def has_room(num_waiting: int, begun: Iterable[_Progress[T]]) -> bool:
        num_samples = sum(len(one.samples) for one in begun)
        return num_waiting < MAX_PENDING and num_samples < max_audio_s * SAMPLE_RATE_HZ

    for done in run_in_order(engine, begun(), settings, has_room=has_room):
        if isinstance(done, Rejected):
            yield done
        else:
            yield done.metadata, engine.text(done.tokens)
