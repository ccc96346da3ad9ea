"""Downloads a file: resumes partial downloads, and verifies the result before it is used."""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, cast

from storage.errors import IntegrityError, TransientError, UserError
from storage.faults import translated_errors
from storage.sink import hash_file
from tasks.download.web import host_slot, open_from, pause

_NUM_ATTEMPTS: Final = 5  # consecutive attempts without new data
_GIT: Final = "git-sha1"

OnBytes = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Digest:
    """The expected digest of a file; `git-sha1` is the blob id that git computes for it."""

    algorithm: str
    hexadecimal: str

    def of(self, path: Path) -> str:
        """The digest of a local file, in hexadecimal."""
        if self.algorithm != _GIT:
            return hash_file(path, self.algorithm)
        header = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: header).hexdigest()


@contextmanager
def fetch(
    url: str,
    expected: Digest | None,
    scratch: Path,
    on_bytes: OnBytes | None = None,
    *,
    size_bytes: int | None = None,
    headers: Mapping[str, str] | None = None,
    num_per_host: int = 4,
) -> Iterator[Path]:
    """A local file with the verified bytes of `url`: a path, or an http, s3 or other fsspec URL.

    Without a digest only the size is verified: `size_bytes`, or else the size that the server
    states. A local file is used in place. A remote file is downloaded to `scratch`, with at most
    `num_per_host` downloads per host at a time. It is retried as long as attempts make progress,
    resumed if an earlier attempt left a part of the same version, and removed when the context
    ends without an error. `Authorization` in `headers` is sent to the host of `url` only.

    Raises `TransientError` for temporary faults, `UserError` if the file is missing, forbidden or
    has another size, and `IntegrityError` if the digest differs (the file is then deleted, so that
    the next attempt starts over).
    """
    local = _local(url)
    if local is not None:
        if not local.is_file():
            kind = f"; expected a file with a known {expected.algorithm}" if expected else ""
            raise UserError(f"{local} does not exist{kind}")
        _refuse_other_size(url, local.stat().st_size, size_bytes)
        if expected is not None:
            _verify(url, expected, expected.of(local))
        yield local
        return
    path = scratch / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.part"
    with _locked(path) as file:
        part = _Part(path, file, expected, on_bytes)
        with host_slot(url, num_per_host):
            _download(url, part, size_bytes, headers or {})
        if expected is not None:
            try:
                _verify(url, expected, part.hexadecimal())
            except IntegrityError:
                part.remove()
                raise
        yield path
        part.remove()


def read_small(url: str) -> str:
    """The text of a small file, such as a list of checksums; raises what `fetch` raises."""
    with TemporaryDirectory() as scratch, fetch(url, None, Path(scratch)) as path:
        return path.read_text(encoding="utf-8", errors="replace")


def _local(url: str) -> Path | None:
    is_local = "://" not in url or url.startswith("file://")
    return Path(url.removeprefix("file://")).expanduser() if is_local else None


def _refuse_other_size(url: str, found: int | None, expected: int | None) -> None:
    if found is not None and expected is not None and found != expected:
        raise UserError(
            f"{url} has {found} bytes, expected {expected}: a different release or an error page;"
            " check the source"
        )


def _verify(url: str, expected: Digest, found: str) -> None:
    if found != expected.hexadecimal:
        raise IntegrityError(
            f"{url} has {expected.algorithm} {found}, expected {expected.hexadecimal}:"
            " damaged in transit, or a different release; try again, then check the source"
        )


@contextmanager
def _locked(path: Path) -> Iterator[FileIO]:
    """The partial file, locked by this process; the system releases the lock when it ends.

    Unbuffered, so that every received byte is available to the next attempt.
    """
    while True:
        with translated_errors("write to", str(path.parent), is_local=True):
            opened = FileIO(path, "a+")
        with opened as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TransientError(f"another process is downloading to {path}") from error
            if _is_at(path, file):  # the previous holder may have deleted it
                yield file
                return


def _is_at(path: Path, file: FileIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


class _Part:
    """The received part of a file, its version (kept in a file beside it) and its digest."""

    def __init__(
        self, path: Path, file: FileIO, expected: Digest | None, on_bytes: OnBytes | None
    ) -> None:
        self.size_bytes = file.seek(0, os.SEEK_END)
        self.expected = expected
        self._path, self._file, self._on_bytes = path, file, on_bytes
        self._version_path = path.with_name(f"{path.name}.version")
        self._hash: hashlib._Hash | None = None  # of all received bytes; None until computed

    @property
    def version(self) -> str | None:
        """The server's identifier of the received version; None if there is none."""
        try:
            return self._version_path.read_text("ascii", errors="ignore").strip() or None
        except FileNotFoundError:
            return None

    def restart(self, version: str | None) -> None:
        """Discard everything and start a new version."""
        with translated_errors("write to", str(self._path.parent), is_local=True):
            # the bytes first: a version must never be stored beside bytes of another one
            self._file.truncate(0)
            self._version_path.unlink(missing_ok=True)
            if version is not None:
                self._version_path.write_text(version, "ascii", errors="ignore")
        self.size_bytes, self._hash = 0, None

    def write(self, data: bytes) -> None:
        """Append `data`; raises `UserError` when the disk is full."""
        if self.expected is not None and self.expected.algorithm != _GIT:
            self._hashed_so_far(self.expected.algorithm).update(data)
        with translated_errors("write to", str(self._path.parent), is_local=True):
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        self.size_bytes += len(data)
        if self._on_bytes is not None:
            self._on_bytes(self.size_bytes)

    def hexadecimal(self) -> str:
        """The digest of all received bytes, by the algorithm of the expected digest."""
        expected = cast("Digest", self.expected)  # asked for only where a digest is expected
        if expected.algorithm == _GIT:  # begins with the size, which is known only now
            return expected.of(self._path)
        return self._hashed_so_far(expected.algorithm).hexdigest()

    def _hashed_so_far(self, algorithm: str) -> "hashlib._Hash":
        if self._hash is None:
            running = hashlib.new(algorithm)
            self._file.seek(0)
            hashlib.file_digest(self._file, lambda: running)
            self._hash = running
        return self._hash

    def remove(self) -> None:
        """Delete both files; the part last, since it carries the lock."""
        self._version_path.unlink(missing_ok=True)
        self._path.unlink()


def _download(url: str, part: _Part, size_bytes: int | None, headers: Mapping[str, str]) -> None:
    """Request until complete; raises `TransientError` after attempts without new data."""
    num_failures, max_bytes = 0, part.size_bytes
    while True:
        try:
            _request(url, part, size_bytes, headers)
        except TransientError as error:
            num_failures = 0 if part.size_bytes > max_bytes else num_failures + 1
            max_bytes = max(max_bytes, part.size_bytes)
            if num_failures == _NUM_ATTEMPTS:
                raise
            pause(num_failures, error)
        else:
            return


def _request(url: str, part: _Part, size_bytes: int | None, headers: Mapping[str, str]) -> None:
    version = part.version
    if version is None and part.expected is None:
        part.restart(None)  # nothing could show that the rest belongs to it
    with open_from(url, part.size_bytes, version, headers) as response:
        _refuse_other_size(url, response.size_bytes, size_bytes)
        if response.start == 0:
            part.restart(response.version)
        elif response.start != part.size_bytes or (
            version and response.version not in (None, version)
        ):
            part.restart(None)
            raise TransientError(f"{url} returned a different byte range than requested")
        for data in response.chunks:
            part.write(data)
    total = response.size_bytes if size_bytes is None else size_bytes
    if total is None:
        if part.expected is None and not response.is_framed:
            part.restart(None)
            raise (TransientError if response.start else UserError)(
                f"the server of {url} states no size, and no digest is known: a truncated file"
                " could not be detected; put it on a mirror with a SHA256SUMS file"
            )
    elif part.size_bytes > total:
        found = part.size_bytes
        part.restart(None)
        if response.start == 0:
            _refuse_other_size(url, found, total)
    if total is not None and part.size_bytes < total:
        raise TransientError(f"{url} ended after {part.size_bytes} of {total} bytes")
