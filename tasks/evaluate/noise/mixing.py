"""Mixes speech and noise at a signal-to-noise ratio (SNR)."""

import math
from typing import NamedTuple

import numpy as np

from tasks.audio import Samples


class Mixture(NamedTuple):
    """Speech with noise, (samples,) float32, and the SNR measured in it; None: none was added."""

    samples: Samples
    snr_db: float | None


def add_noise(samples: Samples, noise: Samples, snr_db: float) -> Mixture:
    """Speech with noise that has 10^(-snr_db/10) times the power of the speech.

    Both are (samples,) float32; power is the mean square over the whole utterance, pauses included,
    as in Figure 2 of Distil-Whisper (arXiv 2311.00430) and section 3.7 of Whisper (arXiv
    2212.04356). Nothing is clipped: if the peak would be above full scale, speech and noise are
    both reduced, so that the mixture is one that a recording can hold; that leaves the SNR as it
    is. The SNR is measured back from the mixture. Where speech or noise is digital silence there is
    no ratio, and the speech is returned as it is. Raises `ValueError` for different lengths.
    """
    if len(samples) != len(noise):
        raise ValueError(f"{len(noise)} samples of noise for {len(samples)} of speech")
    speech_power, noise_power = power(samples), power(noise)
    if not speech_power or not noise_power:
        return Mixture(samples, None)
    gain = math.sqrt(speech_power / noise_power * 10 ** (-snr_db / 10))
    mixed = samples + np.float32(gain) * noise
    scale = np.float32(1 / max(1.0, float(np.abs(mixed).max())))
    mixed *= scale
    speech = samples * scale
    return Mixture(mixed, 10 * math.log10(power(speech) / power(mixed - speech)))


def power(samples: Samples) -> float:
    """The mean square of the samples; 0 if there are none."""
    return float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
