"""What a labelling engine is: windows of sound in, what was heard out, as soon as it is ready."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Protocol

from configs.schema import Label
from tasks.audio import Samples


@dataclass(frozen=True, slots=True)
class AudioWindow:
    """A window to hear: `samples` is (samples,) float32 at 16 kHz, at most a window long.

    At a `temperature` above 0 its tokens are sampled, by noise that its id, the temperature and the
    step alone decide.
    """

    id: str
    samples: Samples
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class DecodingResult:
    """What was heard in a window; names as in openai/whisper's `DecodingResult`.

    `tokens` is the full sequence, prompt and end token included; without the end token where the
    limit of tokens was reached first.
    """

    text: str
    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    has_end: bool


Transcriptions = Generator[tuple[AudioWindow, DecodingResult], AudioWindow | None, None]
"""Gives back sounds with what was heard; a sound that is sent in return is to be heard as well."""


class Engine(Protocol):
    """A teacher that hears windows, each for itself: how many at once is its own business."""

    @property
    def window_samples(self) -> int:
        """The length of what it hears at once, at 16 kHz."""

    def transcribe(self, sounds: Iterable[AudioWindow], settings: Label) -> Transcriptions:
        """Every sound with what was heard in it, in any order; takes sounds as it has room.

        What is heard never depends on the other sounds. Raises `UserError` for a language or task
        that it does not know, `ShardError` when the device has no memory for a single window.
        """
