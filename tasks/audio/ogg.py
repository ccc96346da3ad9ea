"""The checksums of Ogg pages (RFC 3533): decoders skip damaged pages without an error."""

import zlib
from typing import Final

from tasks.audio.pcm import AudioError

OGG_MAGIC: Final = b"OggS"

_FIRST_PAGE_FLAG: Final = 0x02
_FLAGS, _SERIAL, _NUMBER, _CHECKSUM, _NUM_LACES, _LACES = 5, 14, 18, 22, 26, 27
"""Offsets in the header of a page; a lace is the length of a part of its body."""

_MIRRORED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def refuse_damaged_ogg(data: bytes) -> None:
    """Check all pages of an Ogg file; other files pass.

    Raises `AudioError` if a page is damaged or cut off, a page in the middle of a stream is
    missing, or there are bytes between pages. A file cut off between two pages passes, because
    programs that stream do not mark the last page.
    """
    if not data.startswith(OGG_MAGIC):
        return
    following: dict[bytes, int] = {}
    start = 0
    while start < len(data):
        laces = start + _LACES
        if not data.startswith(OGG_MAGIC, start) or len(data) < laces:
            raise AudioError(f"damaged: no Ogg page at byte {start} of {len(data)}")
        num_laces = data[start + _NUM_LACES]
        end = laces + num_laces + sum(data[laces : laces + num_laces])
        if len(data) < end:
            raise AudioError(f"truncated: an Ogg page ends at byte {end} of {len(data)}")
        if _checksum(data[start:end]) != data[start + _CHECKSUM : start + _NUM_LACES]:
            raise AudioError(f"damaged: the Ogg page at byte {start} has another checksum")
        serial = data[start + _SERIAL : start + _NUMBER]
        number = int.from_bytes(data[start + _NUMBER : start + _CHECKSUM], "little")
        is_first = data[start + _FLAGS] & _FIRST_PAGE_FLAG
        if not is_first and following.get(serial, number) != number:
            raise AudioError(f"damaged: Ogg page {number} follows page {following[serial] - 1}")
        following[serial] = number + 1
        start = end


def _checksum(page: bytes) -> bytes:
    """The CRC of a page, computed with its own field as 0; four bytes as they are stored.

    The polynomial is that of zlib, 0x04c11db7, but bits are taken in the other order, and the
    initial and final value is 0. Mirroring all bits leaves the work to zlib.
    """
    plain = page[:_CHECKSUM] + bytes(4) + page[_NUM_LACES:]
    mirrored = zlib.crc32(plain.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return mirrored.to_bytes(4, "big").translate(_MIRRORED)
