"""Acoustic conditions: noise, a telephone line, a room.

Pure numpy functions on float32 mono samples; randomness comes from the given Generator.
"""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

TELEPHONE_BAND_HZ = (300.0, 3_400.0)
# Long recordings are processed in blocks: transforms of millions of points are slow.
_NOISE_PERIOD = 1 << 17
_REVERBERATION_BLOCK = 250_000


def add_noise(samples: FloatArray, snr_db: float, rng: np.random.Generator) -> FloatArray:
    """Add white to pink noise whose mean power is `snr_db` below that of `samples`.

    Shape (n,) to (n,). Silent input is returned unchanged.
    """
    power = float(np.mean(np.square(samples), dtype=np.float64)) if samples.size else 0.0
    if power == 0.0:
        return samples
    noise = coloured_noise(samples.size, rng)
    return np.asarray(samples + np.sqrt(power / 10 ** (snr_db / 10)) * noise, dtype=np.float32)


def coloured_noise(num_samples: int, rng: np.random.Generator) -> FloatArray:
    """Noise of mean power 1 and random colour between white and pink; float32 (num_samples,).

    Its power is proportional to 1/f^a, with a between 0 and 1. It repeats after 131,072 samples.
    """
    num_fft = min(_fast_length(num_samples), _NOISE_PERIOD)
    spectrum = np.fft.rfft(rng.standard_normal(num_fft))
    bins = np.maximum(np.arange(spectrum.size), 1)
    noise = np.fft.irfft(spectrum * bins ** (-rng.uniform(0.0, 1.0) / 2), n=num_fft)
    noise = np.resize(noise, num_samples)
    return np.asarray(noise / max(float(np.sqrt(np.mean(noise**2))), 1e-12), dtype=np.float32)


def telephone(samples: FloatArray, sample_rate_hz: int) -> FloatArray:
    """Band-pass filter of a telephone line, 300 to 3,400 Hz, with slopes of 10 % of the edge.

    Shape (n,) to (n,).
    """
    low_hz, high_hz = TELEPHONE_BAND_HZ
    num_fft = _fast_length(samples.size)
    frequencies_hz = np.fft.rfftfreq(num_fft, 1 / sample_rate_hz)
    rise = np.clip((frequencies_hz - 0.9 * low_hz) / (0.1 * low_hz), 0.0, 1.0)
    fall = np.clip((1.1 * high_hz - frequencies_hz) / (0.1 * high_hz), 0.0, 1.0)
    filtered = np.fft.irfft(np.fft.rfft(samples, num_fft) * rise * fall, n=num_fft)
    return np.asarray(filtered[: samples.size], dtype=np.float32)


def reverberate(
    samples: FloatArray, sample_rate_hz: int, decay_s: float, wet: float, rng: np.random.Generator
) -> FloatArray:
    """Simulate a room: the direct sound plus a decaying tail of noise.

    The tail decays by 60 dB in `decay_s` seconds; `wet` is its energy relative to the direct sound.
    Shape (n,) to (n,): the tail after the end is cut.
    """
    num_tail = max(int(decay_s * sample_rate_hz), 1)
    tail = rng.standard_normal(num_tail) * 10 ** (-3.0 * np.arange(num_tail) / num_tail)
    impulse = np.concatenate(([1.0], np.sqrt(wet / np.sum(tail**2)) * tail))
    block = max(min(samples.size, _REVERBERATION_BLOCK), 1)
    num_fft = _fast_length(block + impulse.size)
    room = np.fft.rfft(impulse, num_fft)
    output = np.zeros(samples.size + num_fft)
    for start in range(0, samples.size, block):
        piece = np.fft.rfft(samples[start : start + block], num_fft)
        output[start : start + num_fft] += np.fft.irfft(piece * room, n=num_fft)
    return np.asarray(output[: samples.size], dtype=np.float32)


def scale_to_peak(samples: FloatArray, peak: float) -> FloatArray:
    """Scale so that the largest absolute sample is `peak`; silence stays silence."""
    largest = float(np.abs(samples).max(initial=0.0))
    return samples if largest == 0.0 else np.asarray(peak / largest * samples, dtype=np.float32)


def _fast_length(num_samples: int) -> int:
    """The next power of two: transforms of prime length are many times slower."""
    return 1 << max(num_samples - 1, 1).bit_length()
