"""Splits recordings that are longer than a model's input window."""

from typing import Final

import numpy as np

from tasks.audio import SAMPLE_RATE_HZ, Samples

_FRAME: Final = round(0.16 * SAMPLE_RATE_HZ)
_HOP: Final = _FRAME // 4


def cut_at_pauses(samples: Samples, window_samples: int) -> list[tuple[int, int]]:
    """Consecutive segments (start, end) of at most `window_samples` that cover all of `samples`.

    `samples` is (samples,) at 16 kHz. Each segment but the last ends in the last third of its
    window, in the middle of the 160 ms with the least energy. Raises `ValueError` for a window
    without samples.
    """
    if window_samples < 1:
        raise ValueError(f"a window of {window_samples} samples; expected at least 1")
    min_samples = max(1, 2 * window_samples // 3)
    segments: list[tuple[int, int]] = []
    start = 0
    while len(samples) - start > window_samples:
        cut_from = start + min_samples
        end = cut_from + _quietest(samples[cut_from : start + window_samples])
        segments.append((start, end))
        start = end
    return [*segments, (start, len(samples))]


def _quietest(samples: Samples) -> int:
    """The middle of the frame with the least energy; the last one if several are equal."""
    frame = min(_FRAME, len(samples))
    energy = np.concatenate(([0.0], np.cumsum(np.square(samples, dtype=np.float64))))
    starts = np.arange(len(samples) - frame, -1, -_HOP)
    quietest = starts[np.argmin(energy[starts + frame] - energy[starts])]
    return int(quietest) + frame // 2
