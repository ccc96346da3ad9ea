"""FLAC of the form that utterances are kept in: its header, and the quickest way to its samples."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from tasks.audio.pcm import SAMPLE_RATE_HZ

Samples = npt.NDArray[np.float32]

_MARK: Final = b"fLaC"
_PCM_BITS: Final = 16
_INFO_BYTES: Final = 42  # the mark, the head of the first block, and that block
_MOST_SAMPLES: Final = 1 << 20
"""A header may promise more than memory holds; this is twice what Whisper hears at once."""
_HAS_DR_FLAC: Final = find_spec("miniaudio") is not None
"""No wheel of it is published for Linux on ARM."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What the first block of every FLAC file tells (RFC 9639, section 8.2).

    `num_samples` is 0 and `md5`, of the samples as little-endian integers, empty where the encoder
    did not tell.
    """

    rate_hz: int
    num_channels: int
    bits: int
    num_samples: int
    md5: bytes

    @classmethod
    def of(cls, data: bytes) -> Self | None:
        """None where the file is no FLAC, or something stands before it."""
        if not data.startswith(_MARK) or len(data) < _INFO_BYTES:
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
        """Whether the file is as `encode_flac` makes it: 16 kHz, mono, 16 bit."""
        return (self.rate_hz, self.num_channels, self.bits) == (SAMPLE_RATE_HZ, 1, _PCM_BITS)


def decode_whole(data: bytes) -> Samples | None:
    """A normalised utterance as (frames,) float32 in [-1, 1) at 16 kHz, decoded by dr_flac.

    In one call without the interpreter lock, in 0.6 of libsndfile's time, and frames with a wrong
    checksum are left out, so that their count tells of any damage. None where a sample is missing,
    for a file of another form or longer than a minute, and where dr_flac is not installed.
    """
    info = StreamInfo.of(data) if _HAS_DR_FLAC else None
    if info is None or not info.is_normalised or not 0 < info.num_samples <= _MOST_SAMPLES:
        return None
    import miniaudio

    try:
        decoded = miniaudio.flac_read_f32(data).samples
    except miniaudio.DecodeError:
        return None
    samples = np.frombuffer(decoded, np.float32)
    return samples if len(samples) == info.num_samples else None
