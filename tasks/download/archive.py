"""Stores archives as plain tar with an index of their members; nothing is extracted to disk."""

import errno
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa

from storage.errors import ShardError
from tasks.download.members import (
    Passing,
    Position,
    Readable,
    Writable,
    index_table,
    is_outside,
    member_name,
    position,
    tar_members,
)

MAX_EXPANSION: Final = 100.0
"""Speech hardly shrinks and annotations shrink 10 to 20 times; deflate reaches 1,000."""

_ALWAYS_ALLOWED_BYTES: Final = 64 << 20
"""A small file may well be one that shrinks more; it fills no disk."""

_GZIPPED_TAR: Final = (".tar.gz", ".tgz")
_GZIPPED: Final = (".gz", ".tgz")
_ENCRYPTED: Final = 1  # bit of the flags of a zip member

_NOT_GZIP: Final = (EOFError, zlib.error)
_NOT_ZIP: Final = (
    *(zipfile.BadZipFile, lzma.LZMAError, *_NOT_GZIP),
    *(NotImplementedError, ValueError, IndexError),
)
_NOT_TAR: Final = (tarfile.TarError, ValueError, IndexError, OverflowError, RecursionError)
"""What the libraries raise for damaged files, beside an `OSError` without a number."""


def stored_name(name: str) -> str:
    """The name of a distributed file in the store: uncompressed, and a tar in place of a zip.

    >>> stored_name("dev-clean.tar.gz"), stored_name("TEDLIUM_release-3.tgz"), stored_name("a.zip")
    ('dev-clean.tar', 'TEDLIUM_release-3.tar', 'a.tar')
    >>> stored_name("asr_en.tsv.gz"), stored_name("clean/test-00000-of-00009.parquet")
    ('asr_en.tsv', 'clean/test-00000-of-00009.parquet')
    """
    for suffix in (*_GZIPPED_TAR, ".zip"):
        if name.endswith(suffix):
            return name.removesuffix(suffix) + ".tar"
    return name.removesuffix(".gz")


def unpack(
    source: Path, name: str, sink: Writable, max_expansion: float = MAX_EXPANSION
) -> pa.Table:
    """Write `source`, the distributed file called `name`, to `sink` without its compression.

    Returns the index of its members, of schema `INDEX` and sorted by name, whose positions and
    digests are taken from the bytes as they pass. Raises `ShardError` if the file is incomplete,
    uses an unsupported feature, or expands to more than `max_expansion` times its size; 64 MiB are
    always allowed.
    """
    bounded = _Bounded(sink, name, source.stat().st_size, max_expansion)
    if name.endswith(".zip"):
        return index_table(_of_zip(source, name, bounded))
    try:
        with gzip.open(source) if name.endswith(_GZIPPED) else source.open("rb") as file:
            return index_table(_of_file(file, stored_name(name), bounded))
    except _NOT_GZIP as error:
        raise ShardError(f"{name} is not a complete gzip file: {error}") from error
    except _NOT_TAR as error:
        raise ShardError(f"{name} is not a complete tar archive: {_line(error)}") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise ShardError(f"{name} is not a complete gzip file: {error}") from error


def _of_file(file: Readable, stored: str, sink: Writable) -> dict[str, Position]:
    passing = Passing(file, sink)
    if stored.endswith(".tar"):
        return tar_members(passing)
    only = position(stored, 0, None, passing.chunks())
    return {stored: only._replace(duration_s=None)}


def _of_zip(source: Path, name: str, sink: "_Bounded") -> dict[str, Position]:
    try:
        with zipfile.ZipFile(source) as archive:
            sink.refuse_if_more(sum(info.file_size for info in archive.infolist()))
            return _zip_to_tar(archive, sink)
    except _NOT_ZIP as error:
        raise ShardError(f"{name} is not a complete zip archive: {_line(error)}") from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # the latter: a member at a negative offset
            raise
        raise ShardError(f"{name} is not a complete zip archive: {error}") from error


def _zip_to_tar(archive: zipfile.ZipFile, sink: "_Bounded") -> dict[str, Position]:
    """Write the members uncompressed, so that each can be read by its byte range."""
    found: dict[str, Position] = {}
    for info in archive.infolist():
        if info.is_dir():
            continue
        if info.flag_bits & _ENCRYPTED:
            raise zipfile.BadZipFile(f"its member {info.filename} is encrypted")
        member = tarfile.TarInfo(info.filename)
        member.size = info.file_size
        sink.write(member.tobuf(tarfile.PAX_FORMAT))
        name = member_name(info.filename)
        one = position(name, sink.size_bytes, info.file_size, _content(archive, info, sink))
        if one.size != info.file_size:
            raise zipfile.BadZipFile(
                f"its member {name} has {one.size} bytes, expected {info.file_size}"
            )
        sink.write(bytes(-info.file_size % tarfile.BLOCKSIZE))
        if not is_outside(name):
            found[name] = one
    sink.write(bytes(2 * tarfile.BLOCKSIZE))
    return found


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, sink: "_Bounded") -> Iterator[bytes]:
    with archive.open(info) as content:
        yield from Passing(content, sink).chunks()


class _Bounded:
    """Passes bytes on to a sink until they are too many for the size of their source."""

    def __init__(self, sink: Writable, name: str, packed_bytes: int, max_expansion: float) -> None:
        self.size_bytes = 0
        self._sink, self._name, self._packed_bytes = sink, name, packed_bytes
        self._max_expansion = max_expansion
        self._max_bytes = max(_ALWAYS_ALLOWED_BYTES, max_expansion * packed_bytes)

    def write(self, data: bytes) -> int:
        self.size_bytes += len(data)
        self.refuse_if_more(self.size_bytes)
        return self._sink.write(data)

    def refuse_if_more(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            raise ShardError(
                f"{self._name} expands to over {self._max_expansion:g} times its"
                f" {self._packed_bytes} bytes, as no corpus does; check the file, or raise"
                " runtime.max_expansion"
            )


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
