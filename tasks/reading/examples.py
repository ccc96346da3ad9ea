"""A window of a manifest and the label to learn from it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np

from storage.errors import IntegrityError
from tasks.audio import SAMPLE_RATE_HZ, AudioError, Samples, decode_flac
from tasks.whisper.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Clip:
    """An utterance inside a window: a FLAC file, and where it begins in the window."""

    utterance_id: str
    flac: bytes
    offset_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A window and the tokens that the teacher heard in it, special tokens included.

    The audio stays compressed until it is needed, a quarter of its size, so that many examples can
    wait to be shuffled. `text` is what the tokens say. What the same speaker said in the window
    before is None where there is no such window, or where it is not kept itself.
    """

    window_id: str
    tokens: Tokens
    duration_s: float
    clips: tuple[Clip, ...]
    corpus: str = ""
    text: str = ""
    previous_tokens: Tokens | None = None
    previous_text: str | None = None

    def samples(self) -> Samples:
        """The window's audio: (samples,) float32 at 16 kHz, zeros between the utterances.

        As long as the window says or as its last utterance needs. Raises `IntegrityError` when an
        utterance cannot be decoded.
        """
        placed = [(round(clip.offset_s * SAMPLE_RATE_HZ), _decoded(clip)) for clip in self.clips]
        ends = (start + len(samples) for start, samples in placed)
        num_samples = max(round(self.duration_s * SAMPLE_RATE_HZ), *ends, 0)
        if len(placed) == 1 and len(placed[0][1]) == num_samples:
            return placed[0][1]
        window = np.zeros(num_samples, np.float32)
        for start, samples in placed:
            window[start : start + len(samples)] = samples
        return window

    def with_tokens(self, tokens: Tokens) -> Self:
        """The same window with other target tokens."""
        return replace(self, tokens=tokens)

    def without_previous(self) -> Self:
        """The same window with nothing before it."""
        return replace(self, previous_tokens=None, previous_text=None)

    def of_corpus(self, corpus: str) -> Self:
        """The same window, said to be of a corpus."""
        return replace(self, corpus=corpus)


def _decoded(clip: Clip) -> Samples:
    try:
        return decode_flac(clip.flac)
    except AudioError as error:
        raise IntegrityError(
            f"the normalised audio of utterance {clip.utterance_id} is no FLAC file: {error};"
            " normalise its shard again"
        ) from error


class ExampleSource(Protocol):
    """An endless order of examples that can be entered anywhere."""

    def stream(self, num_consumed: int) -> Iterator[Example]:
        """The examples after the first `num_consumed`, the same at every call."""
        ...
