"""Writer for FLAC files with one channel and 16 bits."""

import io

import numpy as np
import numpy.typing as npt

from tasks.audio.libsndfile import soundfile


def flac_file(samples: npt.NDArray[np.int16], sample_rate_hz: int) -> bytes:
    """A FLAC file of (n,) samples."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate_hz, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()
