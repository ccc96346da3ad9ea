"""Deterministic writer for Opus files."""

import io

import av
import numpy as np
import numpy.typing as npt

# Without it FFmpeg chooses a random stream serial number.
_CONTAINER_OPTIONS = {"fflags": "+bitexact"}
# The fastest setting; the quality is sufficient for speech.
_ENCODER_OPTIONS = {"compression_level": "0"}
_BIT_RATE = 32_000


def opus_file(samples: npt.NDArray[np.int16], sample_rate_hz: int) -> bytes:
    """A mono Ogg file of (n,) samples; Opus supports 8, 12, 16, 24 and 48 kHz."""
    file = io.BytesIO()
    with av.open(file, "w", format="ogg", options=_CONTAINER_OPTIONS) as container:
        stream = container.add_stream(
            "libopus", rate=sample_rate_hz, layout="mono", options=_ENCODER_OPTIONS
        )
        stream.bit_rate = _BIT_RATE
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = sample_rate_hz
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return file.getvalue()
