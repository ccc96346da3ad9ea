"""What a labelling engine is: windows of sound in, what was heard out, as soon as it is ready."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from configs.schema import Label
from tasks.audio import Samples


@dataclass(frozen=True, slots=True)
class Sound:
    """A window to hear: `samples` is (samples,) float32 at 16 kHz, at most a window long."""

    id: str
    samples: Samples


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard in a window; names as in openai/whisper's `DecodingResult`.

    `tokens` is the full sequence, prompt and end token included; without the end token where the
    limit of tokens was reached first.
    """

    text: str
    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    has_end: bool


class Engine(Protocol):
    """A teacher that hears windows, each for itself: how many at once is its own business."""

    @property
    def window_samples(self) -> int:
        """The length of what it hears at once, at 16 kHz."""

    def hear(
        self, sounds: Iterable[Sound], settings: Label, temperature: float = 0.0
    ) -> Iterator[tuple[Sound, Heard]]:
        """Every sound with what was heard in it, in any order; takes sounds as it has room.

        With a `temperature` tokens are sampled, by noise that the sound's id, the temperature and
        the step alone decide. What is heard never depends on the other sounds. Raises `UserError`
        for a language or task that it does not know, `ShardError` when the device has no memory
        for a single window.
        """
