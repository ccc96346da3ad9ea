"""Stores archives as plain tar with an index of their members; nothing is extracted to disk."""

import gzip
import posixpath
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Final

import pyarrow as pa
import soundfile

from storage.errors import ShardError
from storage.sink import HashingSink
from tasks.download.schema import INDEX

_COPY_BYTES: Final = 1 << 20
_HEADER_BYTES: Final = 1 << 13
_FLAC_FRAMES_BITS: Final = 36
_GZIPPED_TAR: Final = (".tar.gz", ".tgz")
_GZIPPED: Final = (".gz", ".tgz")
_ENCRYPTED: Final = 1  # bit of the flags of a zip member


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


def unpack(source: Path, name: str, sink: HashingSink) -> None:
    """Write `source`, the distributed file called `name`, to `sink` without its compression.

    Raises `ShardError` if the file is incomplete or uses an unsupported feature.
    """
    if name.endswith(".zip"):
        try:
            _zip_to_tar(source, sink)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise ShardError(f"{name} is not a complete zip archive: {error}") from error
        return
    try:
        with gzip.open(source) if name.endswith(_GZIPPED) else source.open("rb") as file:
            shutil.copyfileobj(file, sink, _COPY_BYTES)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ShardError(f"{name} is not a complete gzip file: {error}") from error


def _zip_to_tar(source: Path, sink: HashingSink) -> None:
    """Write the members uncompressed, so that each can be read by its byte range."""
    with zipfile.ZipFile(source) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if info.flag_bits & _ENCRYPTED:
                raise zipfile.BadZipFile(f"its member {info.filename} is encrypted")
            member = tarfile.TarInfo(info.filename)
            member.size = info.file_size
            sink.write(member.tobuf(tarfile.PAX_FORMAT))
            with archive.open(info) as content:
                shutil.copyfileobj(content, sink, _COPY_BYTES)
            sink.write(bytes(-info.file_size % tarfile.BLOCKSIZE))
    sink.write(bytes(2 * tarfile.BLOCKSIZE))


def index(path: Path, name: str) -> pa.Table:
    """The members and their positions: a table of schema `INDEX`, sorted by name.

    A file that is not a tar is its only member. Links are resolved within the archive; names and
    links that point outside, devices and the like are skipped. Raises `ShardError` if the archive
    is incomplete.
    """
    if not (stored := stored_name(name)).endswith(".tar"):
        return _table([(stored, 0, path.stat().st_size, None)])
    try:
        return _table(sorted(_tar_members(path)))
    except tarfile.TarError as error:
        raise ShardError(f"{name} is not a complete tar archive: {error}") from error


def _tar_members(path: Path) -> Iterator[tuple[str, int, int, float | None]]:
    positions: dict[str, tuple[int, int, float | None]] = {}
    links: dict[str, str] = {}
    with tarfile.open(path, "r:") as archive, path.open("rb") as file:
        for member in archive:
            name = posixpath.normpath(member.name)
            if member.size < 0:
                raise tarfile.ReadError(f"the member {name} has a size of {member.size} bytes")
            if posixpath.isabs(name) or name.split("/")[0] == "..":
                continue
            if member.isfile() and not member.issparse():
                file.seek(member.offset_data)
                header = file.read(min(member.size, _HEADER_BYTES))
                positions[name] = (member.offset_data, member.size, _flac_duration_s(name, header))
            elif member.issym():
                links[name] = posixpath.normpath(
                    posixpath.join(posixpath.dirname(name), member.linkname)
                )
            elif member.islnk():
                links[name] = posixpath.normpath(member.linkname)
        file.seek(archive.offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"no end-of-archive marker at byte {archive.offset}")
    for name in links:
        if (target := _resolved(links, name)) in positions:
            positions[name] = positions[target]
    for name, position in positions.items():
        yield name, *position


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


def _table(rows: list[tuple[str, int, int, float | None]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    unhashed = pa.nulls(len(rows), pa.string())
    return pa.table([*(list(column) for column in columns), unhashed], schema=INDEX)
