"""Bringing a file here: resumed by range, never taken for whole before its digest is verified."""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import fsspec
import httpx

from storage.errors import IntegrityError, TransientError, UserError
from storage.faults import explained
from storage.sink import hash_file

_CHUNK_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 60.0
_TRANSIENT_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

OnBytes = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Digest:
    """What the bytes of a file must hash to."""

    algorithm: str
    hexadecimal: str


@contextmanager
def fetched(
    url: str, expected: Digest, scratch: Path, on_bytes: OnBytes | None = None
) -> Iterator[Path]:
    """A local file with the verified bytes of `url`: a path, or an http, s3 or other fsspec URL.

    A local file is used where it lies. A remote one is brought to `scratch`, resumed if an earlier
    attempt left a part of it, and removed afterwards unless the attempt is broken off.

    Raises `TransientError` for faults that may pass, `UserError` for what is missing or forbidden,
    `IntegrityError` when the digest differs (the file is then removed, so that it is brought anew).
    """
    local = Path(url.removeprefix("file://")).expanduser() if _is_local(url) else None
    if local is not None:
        if not local.is_file():
            raise UserError(f"{local} is not there; expected a file of {expected.algorithm} digest")
        _verify(local, url, expected)
        yield local
        return
    partial = scratch / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.part"
    with _locked(partial) as file:
        file.seek(0, 2)
        for chunk in _stream(url, offset=file.tell()):
            if chunk.restart:
                file.seek(0)
                file.truncate()
            file.write(chunk.data)
            if on_bytes is not None:
                on_bytes(file.tell())
        file.flush()
        try:
            _verify(partial, url, expected)
        except IntegrityError:
            partial.unlink()
            raise
        yield partial
        partial.unlink()


def read_small(url: str) -> str:
    """The text of a small file, such as a list of checksums."""
    if _is_local(url):
        path = Path(url.removeprefix("file://")).expanduser()
        if not path.is_file():
            raise UserError(f"{path} is not there")
        data = path.read_bytes()
    else:
        data = b"".join(chunk.data for chunk in _stream(url, offset=0))
    return data.decode("utf-8", errors="replace")


def _is_local(url: str) -> bool:
    return "://" not in url or url.startswith("file://")


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """The partial file for this process alone; the lock ends with the process."""
    while True:
        with path.open("ab+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TransientError(f"another process is downloading to {path}") from error
            if _stands_at(path, file):  # the one before may have removed it as it let go
                yield file
                return


def _stands_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _verify(path: Path, url: str, expected: Digest) -> None:
    found = hash_file(path, expected.algorithm)
    if found != expected.hexadecimal:
        raise IntegrityError(
            f"{url} has {expected.algorithm} {found}, expected {expected.hexadecimal}:"
            " damaged on the way, or another release than the one named; try again,"
            " then check the source"
        )


@dataclass(frozen=True)
class _Chunk:
    data: bytes
    restart: bool = False  # the server sends the file from its beginning after all


def _stream(url: str, offset: int) -> Iterator[_Chunk]:
    if url.startswith(("http://", "https://")):
        yield from _stream_http(url, offset)
        return
    try:
        opened = fsspec.open(url, "rb")
    except (ImportError, ValueError) as error:
        raise UserError(f"{url} cannot be opened: {error}") from error
    try:
        with explained("read", url, is_local=False), opened as file:
            file.seek(offset)
            while data := file.read(_CHUNK_BYTES):
                yield _Chunk(data)
    except FileNotFoundError as error:
        raise UserError(f"{url} is not there") from error


def _stream_http(url: str, offset: int) -> Iterator[_Chunk]:
    # compressed on the way, other bytes would arrive than those of the published digest
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
    try:
        with httpx.stream(
            "GET", url, headers=headers, timeout=_TIMEOUT_S, follow_redirects=True
        ) as response:
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # nothing is left to bring; the digest tells whether that is right
            _refuse_errors(response, url)
            restart = bool(offset) and response.status_code != httpx.codes.PARTIAL_CONTENT
            for data in response.iter_raw(_CHUNK_BYTES):
                yield _Chunk(data, restart)
                restart = False
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        raise UserError(f"{url}: {error}; check the address") from error
    except httpx.TransportError as error:
        raise TransientError(f"{url}: {type(error).__name__}: {error}") from error


def _refuse_errors(response: httpx.Response, url: str) -> None:
    if response.is_success:
        return
    message = f"{url} answers {response.status_code} {response.reason_phrase}"
    if response.status_code in _TRANSIENT_STATUS:
        raise TransientError(message)
    raise UserError(f"{message}; check the address and what must be signed to get the file")
