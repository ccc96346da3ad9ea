"""Writes files and archives deterministically and atomically, with checksums.

Handles tar, zip, gzip and the marker of a complete folder; knows nothing of speech or corpora.
"""

import gzip
import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CHECKSUMS_NAME = "SHA256SUMS"
MARKER_NAME = "complete.json"
# Audio hardly compresses, so the fastest level is enough.
_GZIP_LEVEL = 1
_EARLIEST_ZIP_TIME = (1980, 1, 1, 0, 0, 0)

Parameter = str | int


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of an archive and its path there."""

    path: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A tar, gzipped tar or zip file, by its suffix; `members` generates its files."""

    name: str
    members: Callable[[], Iterator[Member]]


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Files in the folder itself, each at its own path."""

    members: Callable[[], Iterator[Member]]


def write_archives(
    folder: Path, contents: tuple[Archive | Tree, ...], parameters: Mapping[str, Parameter]
) -> None:
    """Write the contents, `SHA256SUMS` and, last, the marker with the parameters.

    Each file is complete or absent. A folder whose marker has other parameters is rewritten.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER_NAME).unlink(missing_ok=True)
    written = [name for content in contents for name in _write(folder, content)]
    lines = [f"{_sha256(folder / name)}  {name}\n" for name in written]
    with _atomic_file(folder / CHECKSUMS_NAME) as file:
        file.write("".join(lines).encode())
    sizes = {name: (folder / name).stat().st_size for name in written}
    marker = {"parameters": dict(parameters), "bytes": sizes}
    with _atomic_file(folder / MARKER_NAME) as file:
        file.write((json.dumps(marker, indent=2, sort_keys=True) + "\n").encode())


def is_complete(folder: Path, parameters: Mapping[str, Parameter]) -> bool:
    """Whether `write_archives` finished here with these parameters.

    The files must still have the recorded sizes.
    """
    try:
        marker = json.loads((folder / MARKER_NAME).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    if marker.get("parameters") != dict(parameters) or not (folder / CHECKSUMS_NAME).is_file():
        return False
    return all(
        (folder / name).is_file() and (folder / name).stat().st_size == size
        for name, size in marker.get("bytes", {}).items()
    )


def _write(folder: Path, content: Archive | Tree) -> Iterator[str]:
    """Write one content; yields the names of its files."""
    if isinstance(content, Tree):
        for member in content.members():
            path = folder / member.path
            path.parent.mkdir(parents=True, exist_ok=True)
            with _atomic_file(path) as file:
                file.write(member.content)
            yield member.path
        return
    with _atomic_file(folder / content.name) as file:
        if content.name.endswith(".zip"):
            _write_zip(file, content.members())
        elif content.name.endswith(".tar"):
            _write_tar(file, content.members())
        else:
            with gzip.GzipFile(
                filename="", mode="wb", fileobj=file, compresslevel=_GZIP_LEVEL, mtime=0
            ) as zipped:
                _write_tar(zipped, content.members())
    yield content.name


def _write_zip(file: BinaryIO, members: Iterator[Member]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            archive.writestr(zipfile.ZipInfo(member.path, _EARLIEST_ZIP_TIME), member.content)


def _write_tar(file: BinaryIO | gzip.GzipFile, members: Iterator[Member]) -> None:
    with tarfile.open(mode="w", fileobj=file, format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            # A new TarInfo has time, user and group 0: nothing of this machine is recorded.
            info = tarfile.TarInfo(member.path)
            info.size = len(member.content)
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(member.content))


@contextmanager
def _atomic_file(path: Path) -> Iterator[BinaryIO]:
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
