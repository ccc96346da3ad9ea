"""Requests to servers: the bytes of a file from an offset, errors, retries and limits per host."""

import functools
import re
import secrets
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

_RANDOM: Final = secrets.SystemRandom()
_FORBIDDEN: Final = frozenset({401, 403})
_RANGE: Final = re.compile(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)")
_RESET: Final = re.compile(r";\s*t=(\d+)")


def is_temporary(status: int) -> bool:
    """Whether a status is temporary: the same request may succeed later."""
    return status >= 500 or status in (408, 425, 429)


class ServerBusy(TransientError):
    """A temporary error; the server asks to wait `wait_s` seconds."""

    def __init__(self, message: str = "", wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(frozen=True, kw_only=True)
class PartialResponse:
    """The bytes of a file from `start` on; `start` is None if the server does not state it."""

    start: int | None
    size_bytes: int | None  # of the whole file, if the server states it
    version: str | None  # a value for `If-Range`
    is_framed: bool  # a broken connection cannot look like the end
    chunks: Iterator[bytes]


@contextmanager
def open_from(
    url: str, offset: int, version: str | None, headers: Mapping[str, str]
) -> Iterator[PartialResponse]:
    """Request a file from `offset` on, or from the beginning if `version` is outdated.

    `Authorization` in `headers` is sent to the host of `url` only, not to redirect targets. Raises
    `TransientError` for temporary faults, `UserError` if the file is missing or forbidden.
    """
    open_url = _open_http if url.startswith(("http://", "https://")) else _open_fsspec
    with open_url(url, offset, version, headers) as response:
        yield response


_ssl_context = functools.cache(httpx.create_ssl_context)  # creating one takes tens of milliseconds


@contextmanager
def _open_http(
    url: str, offset: int, version: str | None, headers: Mapping[str, str]
) -> Iterator[PartialResponse]:
    # the published digest is that of the uncompressed transfer
    request_headers = {"Accept-Encoding": "identity", **headers}
    if offset:
        request_headers["Range"] = f"bytes={offset}-"
        if version is not None:
            request_headers["If-Range"] = version
    try:
        with httpx.stream(
            "GET",
            url,
            headers=request_headers,
            timeout=_TIMEOUT_S,
            follow_redirects=True,
            verify=_ssl_context(),
        ) as response:
            yield _read(response, url, offset)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        raise UserError(f"{url}: {error}; check the address") from error
    except httpx.LocalProtocolError:  # its text and context would reveal the header
        raise UserError(f"{url}: a request header is malformed; check the token") from None
    except httpx.TransportError as error:
        raise TransientError(f"{url}: {type(error).__name__}: {error}") from error


def _read(response: httpx.Response, url: str, offset: int) -> PartialResponse:
    size = response.headers.get("Content-Length", "")
    content_range = _RANGE.match(response.headers.get("Content-Range", ""))
    start, total = content_range.groups() if content_range else (None, None)
    is_complete = bool(offset) and response.status_code == 416
    if not is_complete:
        _refuse_errors(response, url)
    is_part = response.status_code == httpx.codes.PARTIAL_CONTENT
    if is_part or is_complete:
        size = total or ""
    return PartialResponse(
        start=offset if is_complete else 0 if not is_part else int(start) if start else None,
        size_bytes=int(size) if size.isdecimal() else None,
        version=None if is_complete else _version(response.headers),
        is_framed="chunked" in response.headers.get("Transfer-Encoding", ""),
        chunks=iter(()) if is_complete else response.iter_raw(),
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
    message = f"{url} returned {status} {response.reason_phrase}"
    if is_temporary(status):
        raise ServerBusy(message, _retry_after_s(response.headers))
    if status in _FORBIDDEN:
        raise UserError(
            f"{message}: access denied; accept the terms of the distributor if there are any, and"
            " check the token or login"
        )
    raise UserError(f"{message}; check the address")


def _retry_after_s(headers: httpx.Headers) -> float:
    """Seconds from `Retry-After` (a number or a date) or `RateLimit` (an IETF draft); else 0."""
    value = headers.get("Retry-After", "")
    if value.isdecimal():
        return float(value)
    if not value and (reset := _RESET.search(headers.get("RateLimit", ""))):
        return float(reset[1])
    with suppress(ValueError, TypeError):
        return (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    return 0.0


@contextmanager
def _open_fsspec(
    url: str, offset: int, version: str | None, _headers: Mapping[str, str]
) -> Iterator[PartialResponse]:
    try:
        opened = fsspec.open(url, "rb")
    except (ImportError, ValueError) as error:
        raise UserError(f"{url} cannot be opened: {error}") from error
    try:
        with translated_errors("read", url, is_local=False):
            size, found = opened.fs.size(opened.path), opened.fs.ukey(opened.path)
            file = opened.open()
    except FileNotFoundError as error:
        raise UserError(f"{url} does not exist") from error
    start = offset if version in (None, found) else 0
    with file:
        yield PartialResponse(
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
    """Wait before a retry: longer after each consecutive failure, or as long as the server asks."""
    back_off_s = min(_FIRST_WAIT_S * 2**num_failures, _LONGEST_WAIT_S) * _RANDOM.uniform(0.5, 1)
    requested_s = error.wait_s if isinstance(error, ServerBusy) else 0.0
    sleep(max(back_off_s, min(requested_s, _LONGEST_WAIT_S)))


_OPEN: Final[Counter[str]] = Counter()
_CHANGED: Final = Condition()


@contextmanager
def host_slot(url: str, num_per_host: int) -> Iterator[None]:
    """Wait until fewer than `num_per_host` downloads from the host of `url` run in this process."""
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
