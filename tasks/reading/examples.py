"""Training examples: a window of audio with its label, still encoded."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np

from storage.errors import IntegrityError
from tasks.audio import SAMPLE_RATE_HZ, AudioError, Samples, decode_flac
from tasks.whisper.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Clip:
    """An utterance in a window: its FLAC file and where it starts, in seconds."""

    utterance_id: str
    flac: bytes
    offset_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A window and the teacher's label for it, `tokens` with special tokens and as `text`.

    The audio stays compressed, at a quarter of its size, so that many examples fit into a shuffle
    buffer. `draw` names the random choices of this window in this epoch. `previous_tokens` and
    `previous_text` are the label of the same speaker's window before; None if there is none or the
    filter dropped it.
    """

    window_id: str
    tokens: Tokens
    duration_s: float
    clips: tuple[Clip, ...]
    corpus: str = ""
    text: str = ""
    previous_tokens: Tokens | None = None
    previous_text: str | None = None
    draw: str = ""

    def samples(self) -> Samples:
        """The audio of the window: (samples,) float32 at 16 kHz, zeros between the utterances.

        Has at least `duration_s`, more if the last utterance ends later. Raises `IntegrityError` if
        an utterance cannot be decoded.
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
        """A copy with other label tokens."""
        return replace(self, tokens=tokens)

    def without_previous(self) -> Self:
        """A copy without the previous label."""
        return replace(self, previous_tokens=None, previous_text=None)

    def with_draw(self, draw: str) -> Self:
        """A copy with the name of its random choices."""
        return replace(self, draw=draw)

    def of_corpus(self, corpus: str) -> Self:
        """A copy with the name of its corpus."""
        return replace(self, corpus=corpus)


def _decoded(clip: Clip) -> Samples:
    try:
        return decode_flac(clip.flac)
    except AudioError as error:
        raise IntegrityError(
            f"the normalised audio of utterance {clip.utterance_id} is not valid FLAC: {error};"
            " rerun `normalise` for its shard"
        ) from error


class ExampleSource(Protocol):
    """An endless sequence of examples that can be started at any position."""

    def stream(self, num_consumed: int) -> Iterator[Example]:
        """The examples after the first `num_consumed`; equal in every call."""
        ...
