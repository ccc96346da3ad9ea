"""The interface of a labelling engine: audio windows in, decoding results out."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Protocol

from configs.schema import Label
from tasks.audio import Samples
from tasks.whisper.excerpt import Excerpt
from tasks.whisper.segments import NOTHING_COVERED, Covered


@dataclass(frozen=True, slots=True)
class AudioWindow:
    """A window to transcribe: `samples` is (samples,) float32 at 16 kHz, at most a window long.

    Decoding starts after what is `covered` already. At a `temperature` above 0 tokens are sampled,
    with noise that depends only on the window's id, where decoding starts, the temperature and the
    index of the token. An `excerpt` of a recording has the features that openai/whisper cuts out of
    those of the recording, and nothing covered; only a Whisper of transformers accepts it.
    """

    id: str
    samples: Samples
    temperature: float = 0.0
    covered: Covered = NOTHING_COVERED
    excerpt: Excerpt | None = None


@dataclass(frozen=True, slots=True)
class DecodingResult:
    """One decoding attempt, as the engine returns it; names as in openai/whisper.

    `text` and `tokens` include what the window had covered already; `tokens` is the full sequence,
    prompt and end token included. `avg_logprob`, over `num_decoded` tokens, and `no_speech_prob`
    are those of this attempt. `has_end` is False if the token limit was reached before all audio
    was decoded; the end token is then missing.

    With timestamps, the label has `num_segments` segments and ends at `end_s` seconds, None if it
    is not closed by a timestamp; `rest` says where to continue decoding, None if it is complete.
    Quality checks are not applied yet; see `tasks.whisper.quality.Transcript`.
    """

    text: str
    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    has_end: bool
    num_decoded: int = 1
    num_segments: int = 1
    end_s: float | None = None
    rest: Covered | None = None


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
