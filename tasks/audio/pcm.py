"""What decoding gives: samples and their rate, or one line that says why not."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ: Final = 16_000
"""The sample rate of every normalised shard, which is also Whisper's."""

Pcm = npt.NDArray[np.int16]


class AudioError(ValueError):
    """Bytes that are not whole, readable audio."""


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
    """Raise `AudioError` where there is less than a header says: decoders take what is there."""
    if found < expected:
        raise AudioError(f"truncated: {found} of {expected} {unit}")
