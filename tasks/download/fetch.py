"""Bringing a file here: resumed by range, never taken for whole before that is proved."""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from storage.errors import IntegrityError, TransientError, UserError
from storage.faults import translated_errors
from storage.sink import hash_file
from tasks.download.web import answered, host_slot, pause

_NUM_ATTEMPTS: Final = 5  # in a row that bring nothing new
_GIT: Final = "git-sha1"

OnBytes = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Digest:
    """What a file must hash to; `git-sha1` is the name that git gives a file of its content."""

    algorithm: str
    hexadecimal: str

    def of(self, path: Path) -> str:
        """What a local file hashes to, in hexadecimal."""
        if self.algorithm != _GIT:
            return hash_file(path, self.algorithm)
        head = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: head).hexdigest()


@contextmanager
def fetched(
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

    Without a digest the size decides: `size_bytes`, or else what the server announces. A local file
    is used where it lies. A remote one is brought to `scratch` while less than `num_per_host` are
    under way from its host, asked for again as long as something new comes, resumed if an earlier
    attempt left a part of the same version, and removed afterwards unless the attempt is broken
    off. `Authorization` among the `headers` is for the host of `url` alone.

    Raises `TransientError` for faults that may pass, `UserError` for what is missing, forbidden or
    of another size, `IntegrityError` when the digest differs (the file is then removed, so that it
    is brought anew).
    """
    local = _local(url)
    if local is not None:
        if not local.is_file():
            kind = f"; expected a file of {expected.algorithm} digest" if expected else ""
            raise UserError(f"{local} is not there{kind}")
        _refuse_other_size(url, local.stat().st_size, size_bytes)
        if expected is not None:
            _verify(url, expected, expected.of(local))
        yield local
        return
    path = scratch / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.part"
    with _locked(path) as file:
        part = _Part(path, file, expected, on_bytes)
        with host_slot(url, num_per_host):
            _bring(url, part, size_bytes, headers or {})
        if expected is not None:
            try:
                _verify(url, expected, part.hexadecimal())
            except IntegrityError:
                part.remove()
                raise
        yield path
        part.remove()


def read_small(url: str) -> str:
    """The text of a small file, such as a list of checksums; raises as `fetched` does."""
    with TemporaryDirectory() as scratch, fetched(url, None, Path(scratch)) as path:
        return path.read_text(encoding="utf-8", errors="replace")


def _local(url: str) -> Path | None:
    is_local = "://" not in url or url.startswith("file://")
    return Path(url.removeprefix("file://")).expanduser() if is_local else None


def _refuse_other_size(url: str, found: int | None, expected: int | None) -> None:
    if found is not None and expected is not None and found != expected:
        raise UserError(
            f"{url} has {found} bytes, expected {expected}: another release than the one named,"
            " or a page in its place; check the source"
        )


def _verify(url: str, expected: Digest, found: str) -> None:
    if found != expected.hexadecimal:
        raise IntegrityError(
            f"{url} has {expected.algorithm} {found}, expected {expected.hexadecimal}:"
            " damaged on the way, or another release than the one named; try again,"
            " then check the source"
        )


@contextmanager
def _locked(path: Path) -> Iterator[FileIO]:
    """The partial file for this process alone; the lock ends with the process.

    Without a buffer, so that each byte that came is there for the next attempt.
    """
    while True:
        with translated_errors("write to", str(path.parent), is_local=True):
            opened = FileIO(path, "a+")
        with opened as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TransientError(f"another process is downloading to {path}") from error
            if _stands_at(path, file):  # the one before may have removed it as it let go
                yield file
                return


def _stands_at(path: Path, file: FileIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


class _Part:
    """What is held of a file, of which version that is (in a file beside it), and its digest."""

    def __init__(
        self, path: Path, file: FileIO, expected: Digest | None, on_bytes: OnBytes | None
    ) -> None:
        self.size_bytes = file.seek(0, os.SEEK_END)
        self.expected = expected
        self._path, self._file, self._on_bytes = path, file, on_bytes
        self._beside = path.with_name(f"{path.name}.version")
        self._hash: hashlib._Hash | None = None  # of all that is held, once that was read

    @property
    def version(self) -> str | None:
        """What the server called the version that is held; None where it gave it no name."""
        try:
            return self._beside.read_text("ascii", errors="ignore").strip() or None
        except FileNotFoundError:
            return None

    def restart(self, version: str | None) -> None:
        """Hold nothing, of a new version."""
        with translated_errors("write to", str(self._path.parent), is_local=True):
            self._file.truncate(0)  # first: the name must never stand beside bytes of another
            self._beside.unlink(missing_ok=True)
            if version is not None:
                self._beside.write_text(version, "ascii", errors="ignore")
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
        """The digest of all that is held, by the algorithm of the one that is expected."""
        assert self.expected is not None
        if self.expected.algorithm == _GIT:  # it begins with the size, which is known only now
            return self.expected.of(self._path)
        return self._hashed_so_far(self.expected.algorithm).hexdigest()

    def _hashed_so_far(self, algorithm: str) -> "hashlib._Hash":
        if self._hash is None:
            begun = hashlib.new(algorithm)
            self._file.seek(0)
            hashlib.file_digest(self._file, lambda: begun)
            self._hash = begun
        return self._hash

    def remove(self) -> None:
        """Leave nothing; the file goes last, for with it goes the lock."""
        self._beside.unlink(missing_ok=True)
        self._path.unlink()


def _bring(url: str, part: _Part, size_bytes: int | None, headers: Mapping[str, str]) -> None:
    """Ask until all is there; raises `TransientError` after attempts that brought nothing new."""
    num_failures, most_bytes = 0, part.size_bytes
    while True:
        try:
            _ask(url, part, size_bytes, headers)
        except TransientError as error:
            num_failures = 0 if part.size_bytes > most_bytes else num_failures + 1
            most_bytes = max(most_bytes, part.size_bytes)
            if num_failures == _NUM_ATTEMPTS:
                raise
            pause(num_failures, error)
        else:
            return


def _ask(url: str, part: _Part, size_bytes: int | None, headers: Mapping[str, str]) -> None:
    held = part.version
    if held is None and part.expected is None:
        part.restart(None)  # nothing would tell whether the rest belongs to it
    with answered(url, part.size_bytes, held, headers) as answer:
        _refuse_other_size(url, answer.size_bytes, size_bytes)
        if answer.start == 0:
            part.restart(answer.version)
        elif answer.start != part.size_bytes or (held and answer.version not in (None, held)):
            part.restart(None)
            raise TransientError(f"{url} answers with another part of the file than was asked for")
        for data in answer.chunks:
            part.write(data)
    whole = answer.size_bytes if size_bytes is None else size_bytes
    if whole is None:
        if part.expected is None and not answer.is_framed:
            part.restart(None)
            raise (TransientError if answer.start else UserError)(
                f"{url} comes without a size, and no digest is known: a part could be taken for"
                " the whole; put it on a mirror with a SHA256SUMS file"
            )
    elif part.size_bytes > whole:
        found = part.size_bytes
        part.restart(None)
        if answer.start == 0:
            _refuse_other_size(url, found, whole)
    if whole is not None and part.size_bytes < whole:
        raise TransientError(f"{url} broke off after {part.size_bytes} of {whole} bytes")
