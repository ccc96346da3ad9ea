"""What servers answer: the bytes of a file from an offset on, or a fault and when to ask again."""

import functools
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Condition
from time import sleep
from typing import BinaryIO, Final

import fsspec
import httpx

from storage.errors import TransientError, UserError
from storage.faults import translated_errors

_CHUNK_BYTES: Final = 1 << 20
_TIMEOUT_S: Final = 60.0
_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 60.0

_FORBIDDEN: Final = frozenset({401, 403})
_RANGE: Final = re.compile(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)")
_RESET: Final = re.compile(r";\s*t=(\d+)")


def may_pass(status: int) -> bool:
    """Whether the same request may be answered later: the server is in trouble or in demand."""
    return status >= 500 or status in (408, 425, 429)


class Busy(TransientError):
    """The server asks to be left alone for `wait_s` seconds."""

    def __init__(self, message: str = "", wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The bytes of a file from `start` on; `start` is None when the server does not say it."""

    start: int | None
    size_bytes: int | None  # of the whole file, where the server says it
    version: str | None  # as `If-Range` takes it
    is_framed: bool  # so that a broken connection cannot be taken for the end
    chunks: Iterator[bytes]


@contextmanager
def answered(
    url: str, offset: int, version: str | None, headers: Mapping[str, str]
) -> Iterator[Answer]:
    """Ask for a file from `offset` on, or from its beginning if it is no longer of `version`.

    `Authorization` among the `headers` goes to the host of `url` alone, wherever that redirects.
    Raises `TransientError` for faults that may pass, `UserError` for what is missing or forbidden.
    """
    ask = _answered_http if url.startswith(("http://", "https://")) else _answered_by_fsspec
    with ask(url, offset, version, headers) as answer:
        yield answer


_trusted = functools.cache(httpx.create_ssl_context)  # tens of milliseconds each time


@contextmanager
def _answered_http(
    url: str, offset: int, version: str | None, headers: Mapping[str, str]
) -> Iterator[Answer]:
    # compressed on the way, other bytes would arrive than those of the published digest
    asked = {"Accept-Encoding": "identity", **headers}
    if offset:
        asked["Range"] = f"bytes={offset}-"
        if version is not None:
            asked["If-Range"] = version
    try:
        with httpx.stream(
            "GET",
            url,
            headers=asked,
            timeout=_TIMEOUT_S,
            follow_redirects=True,
            verify=_trusted(),
        ) as response:
            yield _read(response, url, offset)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        raise UserError(f"{url}: {error}; check the address") from error
    except httpx.LocalProtocolError:  # its text and its chain would tell the header
        raise UserError(f"{url}: a header of the request is malformed; check the token") from None
    except httpx.TransportError as error:
        raise TransientError(f"{url}: {type(error).__name__}: {error}") from error


def _read(response: httpx.Response, url: str, offset: int) -> Answer:
    size = response.headers.get("Content-Length", "")
    placed = _RANGE.match(response.headers.get("Content-Range", ""))
    start, total = placed.groups() if placed else (None, None)
    nothing_left = bool(offset) and response.status_code == 416
    if not nothing_left:
        _refuse_errors(response, url)
    is_part = response.status_code == httpx.codes.PARTIAL_CONTENT
    if is_part or nothing_left:
        size = total or ""
    return Answer(
        start=offset if nothing_left else 0 if not is_part else int(start) if start else None,
        size_bytes=int(size) if size.isdecimal() else None,
        version=None if nothing_left else _version(response.headers),
        is_framed="chunked" in response.headers.get("Transfer-Encoding", ""),
        chunks=iter(()) if nothing_left else response.iter_raw(),
    )


def _version(headers: httpx.Headers) -> str | None:
    etag = headers.get("ETag", "")
    is_strong = bool(etag) and not etag.startswith("W/") and etag.isascii()
    found: str | None = etag if is_strong else headers.get("Last-Modified")
    return found


def _refuse_errors(response: httpx.Response, url: str) -> None:
    if response.is_success:
        return
    status = response.status_code
    message = f"{url} answers {status} {response.reason_phrase}"
    if may_pass(status):
        raise Busy(message, _asked_wait_s(response.headers))
    if status in _FORBIDDEN:
        raise UserError(
            f"{message}: you may not get it; accept the terms of its distributor where there are"
            " any, and check the token or the login"
        )
    raise UserError(f"{message}; check the address")


def _asked_wait_s(headers: httpx.Headers) -> float:
    """What `Retry-After` says in seconds or by a date, or `RateLimit` (an IETF draft); else 0."""
    value = headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    if not value and (reset := _RESET.search(headers.get("RateLimit", ""))):
        return float(reset[1])
    with suppress(ValueError, TypeError):
        return (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    return 0.0


@contextmanager
def _answered_by_fsspec(
    url: str, offset: int, version: str | None, _headers: Mapping[str, str]
) -> Iterator[Answer]:
    try:
        opened = fsspec.open(url, "rb")
    except (ImportError, ValueError) as error:
        raise UserError(f"{url} cannot be opened: {error}") from error
    try:
        with translated_errors("read", url, is_local=False):
            size, found = opened.fs.size(opened.path), opened.fs.ukey(opened.path)
            file = opened.open()
    except FileNotFoundError as error:
        raise UserError(f"{url} is not there") from error
    start = offset if version in (None, found) else 0
    with file:
        yield Answer(
            start=start,
            size_bytes=size,
            version=found,
            is_framed=True,
            chunks=_chunks(file, start, url),
        )


def _chunks(file: BinaryIO, start: int, url: str) -> Iterator[bytes]:
    with translated_errors("read", url, is_local=False):
        file.seek(start)
        while data := file.read(_CHUNK_BYTES):
            yield data


def pause(num_failures: int, error: TransientError) -> None:
    """Wait before one asks again: longer with each failure in a row, and as the server wishes."""
    back_off_s = min(_FIRST_WAIT_S * 2**num_failures, _LONGEST_WAIT_S) * random.uniform(0.5, 1)
    asked_s = error.wait_s if isinstance(error, Busy) else 0.0
    sleep(max(back_off_s, min(asked_s, _LONGEST_WAIT_S)))


_OPEN: Final[Counter[str]] = Counter()
_CHANGED: Final = Condition()


@contextmanager
def host_slot(url: str, num_per_host: int) -> Iterator[None]:
    """Wait until less than `num_per_host` downloads from the host of `url` are under way here."""
    host = url.split("/")[2].rpartition("@")[2]
    with _CHANGED:
        _CHANGED.wait_for(lambda: _OPEN[host] < num_per_host)
        _OPEN[host] += 1
    try:
        yield
    finally:
        with _CHANGED:
            _OPEN[host] -= 1
            _CHANGED.notify_all()
