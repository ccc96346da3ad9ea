"""Where to cut a recording that is longer than what a model hears at once."""

from typing import Final

import numpy as np

from tasks.audio import SAMPLE_RATE_HZ, Samples

_FRAME: Final = round(0.16 * SAMPLE_RATE_HZ)
_HOP: Final = _FRAME // 4


def cut_at_pauses(samples: Samples, window_samples: int) -> list[tuple[int, int]]:
    """Pieces (start, end) of at most `window_samples` that follow one another and cover all.

    `samples` is (samples,) at 16 kHz. Each piece but the last ends in the last third of its window,
    in the middle of the 160 ms that have the least energy there. Raises `ValueError` for a window
    without samples.
    """
    if window_samples < 1:
        raise ValueError(f"a window of {window_samples} samples")
    least = max(1, 2 * window_samples // 3)
    pieces: list[tuple[int, int]] = []
    start = 0
    while len(samples) - start > window_samples:
        end = start + least + _quietest(samples[start + least : start + window_samples])
        pieces.append((start, end))
        start = end
    return [*pieces, (start, len(samples))]


def _quietest(samples: Samples) -> int:
    """The middle of the frame with the least energy; of several, of the last."""
    frame = min(_FRAME, len(samples))
    energy = np.concatenate(([0.0], np.cumsum(np.square(samples, dtype=np.float64))))
    starts = np.arange(len(samples) - frame, -1, -_HOP)
    quietest = starts[np.argmin(energy[starts + frame] - energy[starts])]
    return int(quietest) + frame // 2
