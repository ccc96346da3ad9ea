"""The interface of a labelling engine: audio windows in, decoding results out."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Protocol

from configs.schema import Label
from tasks.audio import Samples


@dataclass(frozen=True, slots=True)
class AudioWindow:
    """A window to transcribe: `samples` is (samples,) float32 at 16 kHz, at most a window long.

    At a `temperature` above 0 its tokens are sampled, with noise that depends only on the window's
    id, the temperature and the index of the token.
    """

    id: str
    samples: Samples
    temperature: float = 0.0


@dataclass(frozen=True, slots=True)
class DecodingResult:
    """One decoding attempt, as the engine returns it; names as in openai/whisper.

    `tokens` is the full sequence, prompt and end token included; the end token is missing if the
    token limit was reached first (`has_end` is then False). Quality checks are not applied yet; see
    `tasks.whisper.quality.Transcript`.
    """

    text: str
    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    has_end: bool


Transcriptions = Generator[tuple[AudioWindow, DecodingResult], AudioWindow | None, None]
"""Yields windows with their results; a window that is sent back is transcribed as well."""


class Engine(Protocol):
    """A model that transcribes windows; how many it batches together is its own business."""

    @property
    def window_samples(self) -> int:
        """The longest window it accepts, in samples at 16 kHz."""

    def transcribe(self, windows: Iterable[AudioWindow], settings: Label) -> Transcriptions:
        """Yield every window with its result, in any order; draws windows as it has capacity.

        A result never depends on the other windows. Raises `UserError` for a language or task that
        the model does not support, `ShardError` when the device cannot hold a single window.
        """
