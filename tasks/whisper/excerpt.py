"""A window as a part of a longer recording, whose features depend on what surrounds it."""

from dataclasses import dataclass
from typing import Final, Self

from tasks.audio import SAMPLE_RATE_HZ, Samples

FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 100
"""Samples between two frames of Whisper's features, which are 10 ms apart."""
_MARGIN_SAMPLES: Final = 2 * FRAME_SAMPLES  # more than a frame reaches beyond its position


@dataclass(frozen=True, eq=False, slots=True)
class Excerpt:
    """What the features of a window depend on besides its own samples, as in openai/whisper.

    `before` and `after` are the neighbouring samples, (samples,) float32 at 16 kHz. `peak` is the
    highest value of the logarithmic mel spectrogram of the whole recording, in powers of ten.
    """

    before: Samples
    after: Samples
    peak: float

    @classmethod
    def between(cls, samples: Samples, start: int, end: int, peak: float) -> Self:
        """The surroundings of `samples[start:end]`."""
        before = samples[max(0, start - _MARGIN_SAMPLES) : start]
        return cls(before, samples[end : end + _MARGIN_SAMPLES], peak)
