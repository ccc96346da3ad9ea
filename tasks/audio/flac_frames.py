"""The first frame of a FLAC file, whose header repeats the format of the file with a checksum.

No digest covers the format in the first metadata block: damage to its sample rate would change the
speed of a recording and nothing else.
"""

from typing import Final, NamedTuple, Self

from tasks.audio.flac import FLAC_MAGIC, StreamInfo
from tasks.audio.pcm import AudioError

_BLOCK_HEADER_BYTES: Final = 4
_LAST_BLOCK: Final = 0x80
_RATES_HZ: Final = (
    None, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000
)  # fmt: skip
_RATE_UNITS_HZ: Final = {12: 1_000, 13: 1, 14: 10}
"""Of the rates that follow the frame number, by their code."""

_NUM_CHANNELS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 2, 2, 2)  # the last three: stereo, decorrelated
_BITS: Final = (None, 8, 12, None, 16, 20, 24, 32)
_INVALID_RATE: Final = 15
_LONGEST_HEADER_BYTES: Final = 16
_CRC_POLYNOMIAL: Final = 0x107  # x^8 + x^2 + x + 1


class FrameFormat(NamedTuple):
    """The format in a frame header (RFC 9639, section 9.1); None: as in the first block."""

    rate_hz: int | None
    num_channels: int
    bits: int | None

    @classmethod
    def of(cls, header: bytes) -> Self | None:
        """Parse the first bytes of a frame; None if they are no header or damaged."""
        if len(header) < 6 or header[0] != 0xFF or header[1] & 0xFE != 0xF8:
            return None
        size_code, rate_code = header[2] >> 4, header[2] & 0x0F
        channels_code, bits_code = header[3] >> 4, header[3] >> 1 & 7
        number_bytes = max(1, 8 - (header[4] ^ 0xFF).bit_length())  # coded as in UTF-8
        rate_at = 4 + number_bytes + {6: 1, 7: 2}.get(size_code, 0)
        end = rate_at + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
        if channels_code >= len(_NUM_CHANNELS) or rate_code == _INVALID_RATE:
            return None
        if len(header) <= end or _crc_8(header[:end]) != header[end]:
            return None
        if rate_code in _RATE_UNITS_HZ:
            stated = int.from_bytes(header[rate_at:end], "big")
            rate_hz: int | None = _RATE_UNITS_HZ[rate_code] * stated
        else:
            rate_hz = _RATES_HZ[rate_code]
        return cls(rate_hz, _NUM_CHANNELS[channels_code], _BITS[bits_code])


def check_first_frame(data: bytes, info: StreamInfo) -> None:
    """Raise `AudioError` unless a frame of the stated format follows the metadata."""
    start = _first_frame(data)
    found = FrameFormat.of(data[start : start + _LONGEST_HEADER_BYTES])
    if found is None:
        raise AudioError(f"damaged: no FLAC frame at byte {start} of {len(data)}")
    for name, in_frame, stated in (
        ("Hz", found.rate_hz, info.rate_hz),
        ("channels", found.num_channels, info.num_channels),
        ("bits", found.bits, info.bits),
    ):
        if in_frame not in (None, stated):
            raise AudioError(f"damaged: {stated} {name} in the header, {in_frame} in its frames")


def _first_frame(data: bytes) -> int:
    """The offset behind the last metadata block (section 8.1)."""
    at, is_last = len(FLAC_MAGIC), False
    while not is_last and at + _BLOCK_HEADER_BYTES <= len(data):
        is_last = bool(data[at] & _LAST_BLOCK)
        size = int.from_bytes(data[at + 1 : at + _BLOCK_HEADER_BYTES], "big")
        at += _BLOCK_HEADER_BYTES + size
    return at


def _crc_8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc <<= 1
            if crc & 0x100:
                crc ^= _CRC_POLYNOMIAL
    return crc
