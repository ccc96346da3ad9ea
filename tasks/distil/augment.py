"""SpecAugment: masks over times and frequencies of the features (Park et al., arXiv 1904.08779)."""

import hashlib

import numpy as np
import numpy.typing as npt

from configs.distil import SpecAugment

Features = npt.NDArray[np.float32]


def masked(features: Features, settings: SpecAugment, draw: str) -> Features:
    """A copy of (mels, frames) features with random bands and spans set to 0.

    The width of each mask is uniform from 0 to its maximum, its place uniform where it fits. The
    same `draw` always gives the same masks.
    """
    found = features.copy()
    num_mels, num_frames = found.shape
    seed = hashlib.sha256(f"mask {draw}".encode()).digest()
    # raw output, which numpy keeps stable between versions
    raw = np.random.PCG64(int.from_bytes(seed[:16], "big")).random_raw(
        2 * (settings.num_frequency_masks + settings.num_time_masks)
    )
    fractions = iter((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53)

    def span(max_width: int, size: int) -> slice:
        width = int(next(fractions) * (min(max_width, size) + 1))
        first = int(next(fractions) * (size - width + 1))
        return slice(first, first + width)

    for _ in range(settings.num_frequency_masks):
        found[span(settings.max_frequency_bins, num_mels), :] = 0.0
    for _ in range(settings.num_time_masks):
        found[:, span(settings.max_time_frames, num_frames)] = 0.0
    return found
