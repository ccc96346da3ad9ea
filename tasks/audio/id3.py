"""ID3v2 tags, which some programs write before files that are not MP3."""

from typing import Final

_MAGIC: Final = b"ID3"
_HEADER_BYTES: Final = 10
_FOOTER_FLAG: Final = 0x10


def id3_bytes(data: bytes) -> int:
    """The length of all ID3v2 tags at the start of a file, in bytes (ID3v2.4.0, section 3)."""
    end = 0
    while data.startswith(_MAGIC, end) and len(data) >= end + _HEADER_BYTES:
        size = 0
        for seven_bits in data[end + 6 : end + _HEADER_BYTES]:
            size = size << 7 | seven_bits & 0x7F
        num_headers = 2 if data[end + 5] & _FOOTER_FLAG else 1
        end += size + num_headers * _HEADER_BYTES
    return end
