"""Byte ranges of files, checked against their digests before they are used."""

import hashlib
import io
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Final

from storage.errors import IntegrityError
from tasks.download.schema import BLOCK_BYTES

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ReadRange = Callable[[int, int], bytes]
"""Reads the bytes from a start up to an end."""

Damaged = Callable[[int, int, str, str], IntegrityError]
"""The error for the bytes from a start up to an end: their digest, and the expected one."""

_HASH_CHUNK_BYTES: Final = 8 << 20
_DIGEST_BYTES: Final = hashlib.sha256().digest_size


def hash_range(read: ReadRange, start: int, end: int) -> "hashlib._Hash":
    """The running SHA-256 of a range, read in pieces."""
    found = hashlib.sha256()
    for at in range(start, end, _HASH_CHUNK_BYTES):
        found.update(read(at, min(at + _HASH_CHUNK_BYTES, end)))
    return found


def hash_blocks(read: ReadRange, size: int) -> tuple[str, bytes]:
    """The SHA-256 of a file in hexadecimal, and the digests of its blocks, from one pass."""
    whole, blocks = hashlib.sha256(), bytearray()
    for at in range(0, size, _HASH_CHUNK_BYTES):
        data = memoryview(read(at, min(at + _HASH_CHUNK_BYTES, size)))
        whole.update(data)
        for start in range(0, len(data), BLOCK_BYTES):
            blocks += hashlib.sha256(data[start : start + BLOCK_BYTES]).digest()
    return whole.hexdigest(), bytes(blocks)


class CheckedRange(io.RawIOBase):
    """A range of a file as a seekable stream: each block that is read is checked.

    Without `blocks` nothing is checked, because the range already was or its digest is not known.
    """

    def __init__(
        self,
        read: ReadRange,
        offset: int,
        size: int,
        blocks: bytes | None = None,
        damaged: Damaged | None = None,
    ) -> None:
        self._read, self._offset, self._size = read, offset, size
        self._blocks, self._damaged = blocks, damaged
        self._position = 0
        self._kept: tuple[int, bytes] = (-1, b"")  # the last block that was read

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position in the range; returns it."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        """The position in the range."""
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer` as far as the range goes; raises what `damaged` makes for a wrong block."""
        view = memoryview(buffer)
        end = min(self._position + len(view), self._size)
        count = max(0, end - self._position)
        if not count:
            return 0
        if self._blocks is None or self._damaged is None:
            view[:count] = self._read(self._offset + self._position, self._offset + end)
        else:
            first = self._position // BLOCK_BYTES
            data = self._checked(first, -(-end // BLOCK_BYTES), self._blocks, self._damaged)
            skipped = self._position - first * BLOCK_BYTES
            view[:count] = memoryview(data)[skipped : skipped + count]
        self._position = end
        return count

    def _checked(self, first: int, last: int, digests: bytes, damaged: Damaged) -> bytes:
        """The blocks from `first` up to `last`, the first of which may be at hand."""
        number, kept = self._kept
        has_first = number == first
        start, end = (first + has_first) * BLOCK_BYTES, min(last * BLOCK_BYTES, self._size)
        data = self._read(self._offset + start, self._offset + end) if start < end else b""
        for at in range(0, len(data), BLOCK_BYTES):
            block = memoryview(data)[at : at + BLOCK_BYTES]
            nth = _DIGEST_BYTES * ((start + at) // BLOCK_BYTES)
            expected, found = digests[nth : nth + _DIGEST_BYTES], hashlib.sha256(block).digest()
            if found != expected:
                begin = self._offset + start + at
                raise damaged(begin, begin + len(block), found.hex(), expected.hex())
            self._kept = (start + at) // BLOCK_BYTES, bytes(block)
        return kept + data if has_first else data


class CheckedOnce:
    """Which ranges were hashed by this process: each once, however many threads need it."""

    def __init__(self) -> None:
        self._locks: dict[tuple[str, ...], Lock] = {}
        self._checked: set[tuple[str, ...]] = set()

    def check(self, name: tuple[str, ...], check: Callable[[], None]) -> None:
        """Call `check` unless it has succeeded under this name; raises what it raises."""
        with self._locks.setdefault(name, Lock()):
            if name not in self._checked:
                check()
                self._checked.add(name)
