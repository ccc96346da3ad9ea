"""Digests and positions of the members of an archive, taken while its bytes pass into the store."""

import hashlib
import io
import posixpath
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from typing import Final, NamedTuple, Protocol

import pyarrow as pa

from tasks.audio.libsndfile import soundfile
from tasks.download.schema import BLOCK_BYTES, INDEX, WHOLE_BYTES

_HEADER_BYTES: Final = 1 << 13
_MAX_READ_BYTES: Final = 1 << 24
"""Of one header: tarfile reads extended headers at once, whatever size they claim."""

_FLAC_FRAMES_BITS: Final = 36


class Readable(Protocol):
    """Where the bytes of a distributed file come from."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end."""


class Writable(Protocol):
    """Where the bytes of a stored file go."""

    def write(self, data: bytes, /) -> int:
        """Append `data`."""


class Position(NamedTuple):
    """Where a member is in the stored file, in bytes, and what it must contain."""

    offset: int
    size: int
    duration_s: float | None
    sha256: str
    blocks: bytes | None


class Passing(io.RawIOBase):
    """A file that can only be read forwards; all that is read or skipped is written to a sink."""

    def __init__(self, source: Readable, sink: Writable) -> None:
        self._source, self._sink = source, sink
        self._position = 0
        self.last = b""
        """What the last call of `read` returned."""

    def read(self, size: int = -1, /) -> bytes:
        """`size` bytes, fewer at the end; raises `ReadError` for more than a header can have."""
        if not 0 <= size <= _MAX_READ_BYTES:
            raise tarfile.ReadError(f"a header claims {size} bytes")
        self.last = b"".join(self.chunks(size))
        return self.last

    def chunks(self, size: int | None = None) -> Iterator[bytes]:
        """The next `size` bytes, by default all, in blocks of `BLOCK_BYTES`; fewer at the end."""
        while size is None or size > 0:
            data = _filled(self._source, BLOCK_BYTES if size is None else min(size, BLOCK_BYTES))
            if not data:
                return
            self._sink.write(data)
            self._position += len(data)
            size = None if size is None else size - len(data)
            yield data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Skip to `offset`; raises `ReadError` if it lies behind."""
        if offset < self._position:
            raise tarfile.ReadError(f"byte {offset} follows byte {self._position}")
        for _ in self.chunks(offset - self._position):
            continue
        return self._position

    def tell(self) -> int:
        """How many bytes have passed."""
        return self._position


def _filled(source: Readable, size: int) -> bytes:
    """`size` bytes, fewer only at the end of the file."""
    data = source.read(size)
    while 0 < len(data) < size and (more := source.read(size - len(data))):
        data += more
    return data


def position(name: str, offset: int, size: int | None, chunks: Iterable[bytes]) -> Position:
    """Hash a member, given in blocks of `BLOCK_BYTES`; `size` is the stated one, None if unknown.

    A member of more than `WHOLE_BYTES` also gets the digest of each block.
    """
    whole, blocks, header, found = hashlib.sha256(), bytearray(), b"", 0
    for chunk in chunks:
        whole.update(chunk)
        if size is None or size > WHOLE_BYTES:
            blocks += hashlib.sha256(chunk).digest()
        header = header or chunk[:_HEADER_BYTES]
        found += len(chunk)
    return Position(
        offset=offset,
        size=found,
        duration_s=_flac_duration_s(name, header),
        sha256=whole.hexdigest(),
        blocks=bytes(blocks) if found > WHOLE_BYTES else None,
    )


def tar_members(file: Passing) -> dict[str, Position]:
    """The members of a tar by name; reads it to its end.

    Links are resolved within the archive; names and links that point outside, devices and the like
    are skipped. Raises `tarfile.TarError` if the archive is incomplete, and some built-in
    exceptions if its headers make no sense.
    """
    found: dict[str, Position] = {}
    links: dict[str, str] = {}
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            name = member_name(member.name)
            if member.size < 0:
                raise tarfile.ReadError(f"the member {name} has a size of {member.size} bytes")
            if is_outside(name):
                continue
            if member.isfile() and not member.issparse():
                content = file.chunks(member.size)
                one = position(name, member.offset_data, member.size, content)
                if one.size < member.size:
                    raise tarfile.ReadError(f"the member {name} ends after {one.size} bytes")
                found[name] = one
            elif member.issym():
                target = posixpath.join(posixpath.dirname(name), member_name(member.linkname))
                links[name] = posixpath.normpath(target)
            elif member.islnk():
                links[name] = member_name(member.linkname)
        if file.last != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"no end-of-archive marker at byte {archive.offset}")
    for _ in file.chunks():
        continue
    for name in links:
        if (target := _resolved(links, name)) in found:
            found[name] = found[target]
    return found


def member_name(name: str) -> str:
    """A name in an archive without `.` and doubled `/`; U+FFFD for what is not UTF-8."""
    readable = name.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="replace")
    return posixpath.normpath(readable)


def is_outside(name: str) -> bool:
    """Whether a name points outside the archive."""
    return posixpath.isabs(name) or name.split("/")[0] == ".."


def _resolved(links: Mapping[str, str], name: str) -> str:
    """The end of a chain of links; for a cycle, one of its links."""
    for _ in links:
        name = links.get(name, name)
    return name


def _flac_duration_s(name: str, header: bytes) -> float | None:
    """The duration from a FLAC header; None for other formats, which would have to be read."""
    if not name.endswith(".flac"):
        return None
    try:
        info = soundfile.info(BytesIO(header))
    except soundfile.LibsndfileError:
        return None
    is_known = 0 < info.frames < 1 << _FLAC_FRAMES_BITS
    return float(info.frames / info.samplerate) if is_known else None


def index_table(members: Mapping[str, Position]) -> pa.Table:
    """The index of the members, of schema `INDEX`, sorted by name."""
    names = sorted(members)
    columns = list(zip(*(members[name] for name in names), strict=True)) or [()] * len(
        Position._fields
    )
    return pa.table([names, *(list(column) for column in columns)], schema=INDEX)
