"""Decoded audio, and the error raised when decoding fails."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ: Final = 16_000
"""The sample rate of every normalised shard, which is also Whisper's."""

Pcm = npt.NDArray[np.int16]


class AudioError(ValueError):
    """The bytes are not complete, readable audio."""


@dataclass(frozen=True, slots=True)
class Audio:
    """Decoded audio: `samples` is (frames, channels) int16 at `rate_hz`."""

    samples: Pcm
    rate_hz: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz


def refuse_truncated(*, found: int, expected: int, unit: str = "samples") -> None:
    """Raise `AudioError` if there is less than the header says: decoders accept truncated files."""
    if found < expected:
        raise AudioError(f"truncated: {found} of {expected} {unit}")
