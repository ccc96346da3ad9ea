"""Deterministic writer for OGG files with Vorbis or Opus."""

import io
import struct
import zlib
from typing import Literal

import numpy as np
import numpy.typing as npt

from tasks.audio.libsndfile import soundfile

_SERIAL = 1
_SERIAL_OFFSET, _CRC_OFFSET, _NUM_LACES_OFFSET, _LACES_OFFSET = 14, 22, 26, 27
_BLOCK_FRAMES = 1 << 16  # libsndfile's Vorbis encoder crashes on long input in one call
_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg_file(
    samples: npt.NDArray[np.int16], sample_rate_hz: int, codec: Literal["VORBIS", "OPUS"]
) -> bytes:
    """A mono OGG file of (n,) samples. Opus supports 8, 12, 16, 24 and 48 kHz."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", sample_rate_hz, channels=1, format="OGG", subtype=codec
    ) as file:
        for first in range(0, samples.size, _BLOCK_FRAMES):
            file.write(samples[first : first + _BLOCK_FRAMES])
    return _with_serial(buffer.getvalue(), _SERIAL)


def _with_serial(ogg: bytes, serial: int) -> bytes:
    """Replace the serial number, which libsndfile chooses at random for each file.

    It is part of every page, and so of the checksum of each page.
    """
    pages = bytearray(ogg)
    start = 0
    while start < len(pages):
        laces = start + _LACES_OFFSET
        num_laces = pages[start + _NUM_LACES_OFFSET]
        end = laces + num_laces + sum(pages[laces : laces + num_laces])
        struct.pack_into("<I", pages, start + _SERIAL_OFFSET, serial)
        struct.pack_into("<I", pages, start + _CRC_OFFSET, 0)
        struct.pack_into("<I", pages, start + _CRC_OFFSET, _crc(bytes(pages[start:end])))
        start = end
    return bytes(pages)


def _crc(page: bytes) -> int:
    """The OGG checksum: the polynomial of zlib, bit-reversed, with initial value 0."""
    mirrored = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
