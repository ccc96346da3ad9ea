"""Archives that are the same bytes at every build, and whole or absent, never half written.

Knows tar, gzip, checksums and the marker of a finished folder; knows neither speech nor corpora.
"""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CHECKSUMS_NAME = "SHA256SUMS"
MARKER_NAME = "complete.json"
# Speech hardly compresses and the demo should not wait for it.
_GZIP_LEVEL = 1

Parameter = str | int


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of an archive, with its path inside it."""

    path: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A gzipped tar; `members` makes its files one by one, so that one is in memory."""

    name: str
    members: Callable[[], Iterator[Member]]


def write_archives(
    folder: Path, archives: tuple[Archive, ...], parameters: Mapping[str, Parameter]
) -> None:
    """Write the archives, `SHA256SUMS` beside them and, last, the marker with the parameters.

    Each file appears whole under its name or not at all. A folder whose marker has other parameters
    is written anew.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER_NAME).unlink(missing_ok=True)
    lines = []
    for archive in archives:
        path = folder / archive.name
        with _appearing_whole(path) as file:
            _write_tar_gz(file, archive.members())
        lines.append(f"{_sha256(path)}  {archive.name}\n")
    with _appearing_whole(folder / CHECKSUMS_NAME) as file:
        file.write("".join(lines).encode())
    sizes = {archive.name: (folder / archive.name).stat().st_size for archive in archives}
    marker = {"parameters": dict(parameters), "bytes": sizes}
    with _appearing_whole(folder / MARKER_NAME) as file:
        file.write((json.dumps(marker, indent=2, sort_keys=True) + "\n").encode())


def is_complete(folder: Path, parameters: Mapping[str, Parameter]) -> bool:
    """Whether `write_archives` has finished here with these parameters.

    Its files must still have the sizes that they had then.
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


def _write_tar_gz(file: BinaryIO, members: Iterator[Member]) -> None:
    with (
        gzip.GzipFile(
            filename="", mode="wb", fileobj=file, compresslevel=_GZIP_LEVEL, mtime=0
        ) as zipped,
        tarfile.open(mode="w", fileobj=zipped, format=tarfile.PAX_FORMAT) as tar,
    ):
        for member in members:
            # A fresh TarInfo has time, user and group 0 and no names: nothing of this machine gets
            # in.
            info = tarfile.TarInfo(member.path)
            info.size = len(member.content)
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(member.content))


@contextmanager
def _appearing_whole(path: Path) -> Iterator[BinaryIO]:
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
