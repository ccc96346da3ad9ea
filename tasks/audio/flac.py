"""The FLAC format in which utterances are stored: parsing its header, decoding it fast."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from tasks.audio.pcm import SAMPLE_RATE_HZ

Samples = npt.NDArray[np.float32]

FLAC_MAGIC: Final = b"fLaC"

_PCM_BITS: Final = 16
_INFO_BYTES: Final = 42  # magic, header of the first metadata block, and that block
_MAX_SAMPLES: Final = 1 << 20
"""Bounds memory, since a header may claim any length; twice the window of Whisper."""
_HAS_DR_FLAC: Final = find_spec("miniaudio") is not None
"""No wheel is published for Linux on ARM."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """The first metadata block of a FLAC file (RFC 9639, section 8.2).

    `md5` is that of the samples as little-endian integers. `num_samples` is 0 and `md5` empty if
    the encoder did not fill them in.
    """

    rate_hz: int
    num_channels: int
    bits: int
    num_samples: int
    md5: bytes

    @classmethod
    def of(cls, data: bytes) -> Self | None:
        """Parse a file; None if it does not begin as a FLAC file does."""
        if not data.startswith(FLAC_MAGIC) or len(data) < _INFO_BYTES:
            return None
        numbers = int.from_bytes(data[18:26], "big")  # of 20, 3, 5 and 36 bits
        md5 = data[26:_INFO_BYTES]
        return cls(
            rate_hz=numbers >> 44,
            num_channels=(numbers >> 41 & 7) + 1,
            bits=(numbers >> 36 & 31) + 1,
            num_samples=numbers & (1 << 36) - 1,
            md5=md5 if any(md5) else b"",
        )

    @property
    def is_normalised(self) -> bool:
        """Whether the format is that of `encode_flac`: 16 kHz, mono, 16 bit."""
        return (self.rate_hz, self.num_channels, self.bits) == (SAMPLE_RATE_HZ, 1, _PCM_BITS)


def decode_normalised(data: bytes) -> Samples | None:
    """A normalised utterance as (frames,) float32 in [-1, 1) at 16 kHz, decoded by dr_flac.

    Takes 0.6 of libsndfile's time and releases the interpreter lock. dr_flac skips frames with a
    wrong checksum, so damage shows as missing samples. Returns None if samples are missing, the
    file has another format or is longer than a minute, or dr_flac is not installed.
    """
    info = StreamInfo.of(data) if _HAS_DR_FLAC else None
    if info is None or not info.is_normalised or not 0 < info.num_samples <= _MAX_SAMPLES:
        return None
    import miniaudio

    try:
        decoded = miniaudio.flac_read_f32(data).samples
    except miniaudio.DecodeError:
        return None
    samples = np.frombuffer(decoded, np.float32)
    return samples if len(samples) == info.num_samples else None
