"""Serves pages to one user's browser: on loopback, below a random token in the URL.

Whoever does not know the token gets nothing, and neither does a page of another site whose name was
pointed at this machine, since the `Host` header has to be ours. It knows nothing of what is served.
"""

import logging
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from storage.errors import UserError

LOOPBACK: Final = "127.0.0.1"
_BLOCK_BYTES: Final = 1 << 20
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
_ALWAYS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What was asked for: the path behind the token without its first slash, and the query."""

    path: str
    query: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """Bytes or a file, with its media type; a part of it is sent to whoever asks for a range."""

    body: bytes | Path
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Request], Reply | None]
"""The reply to a request, or None if there is nothing at this path; called by several threads."""


class PageServer(ThreadingHTTPServer):
    """Listens once it is made; `serve_forever` answers."""

    daemon_threads = True

    def __init__(
        self, answer: Answer, *, port: int = 0, headers: Mapping[str, str] | None = None
    ) -> None:
        """Listen on `port`, or a free one for 0; every reply has `headers`.

        Raises `UserError` for a port that cannot be used.
        """
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise UserError(
                f"port {port} cannot be used ({error.strerror}); --port 0 takes a free one"
            ) from error
        self.answer = answer
        self.headers: Final = {**_ALWAYS, **(headers or {})}
        self.token: Final = secrets.token_urlsafe(24)
        self.hosts: Final = {f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost")}

    @property
    def url(self) -> str:
        """The address of the page, with its token."""
        return f"http://{LOOPBACK}:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that closes a connection early is no error worth a traceback."""
        _LOG.debug("a request of %s ended early", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._respond()

    def do_HEAD(self) -> None:
        self._respond()

    def _respond(self) -> None:
        if self.headers.get("Host", "") not in self.server.hosts:
            return self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
        parts = urlsplit(self.path)
        token, slash, path = parts.path.removeprefix("/").partition("/")
        if not slash or not secrets.compare_digest(token.encode(), self.server.token.encode()):
            return self._refuse(HTTPStatus.FORBIDDEN)
        try:
            reply = self.server.answer(Request(unquote(path), dict(parse_qsl(parts.query))))
        except Exception:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR)
            raise
        if reply is None:
            return self._refuse(HTTPStatus.NOT_FOUND)
        return self._send(reply)

    def _refuse(self, status: HTTPStatus) -> None:
        self._send(Reply(f"{status.phrase}\n".encode(), "text/plain"), status)

    def _send(self, reply: Reply, status: HTTPStatus = HTTPStatus.OK) -> None:
        body = reply.body
        size = len(body) if isinstance(body, bytes) else body.stat().st_size
        first, end = 0, size
        found = {"Accept-Ranges": "bytes"}
        if status == HTTPStatus.OK and (wanted := _RANGE.fullmatch(self.headers.get("Range", ""))):
            first, end = _slice(wanted[1], wanted[2], size)
            if first >= end:
                status, first, end = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, 0, 0
                found["Content-Range"] = f"bytes */{size}"
            else:
                status = HTTPStatus.PARTIAL_CONTENT
                found["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
        self.send_response(status)
        found |= {"Content-Type": reply.media_type, "Content-Length": str(end - first)}
        for name, value in {**self.server.headers, **reply.headers, **found}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            for block in _blocks(body, first, end):
                self.wfile.write(block)

    def log_message(self, format: str, *values: Any) -> None:
        """Requests are not logged: their URLs have the token."""


def _slice(first: str, last: str, size: int) -> tuple[int, int]:
    """The bytes that a range names (RFC 9110, section 14.1.2), first and end; empty if none."""
    if not first:
        return (max(size - int(last), 0), size) if last else (0, 0)
    return int(first), min(int(last) + 1, size) if last else size


def _blocks(body: bytes | Path, first: int, end: int) -> Iterator[bytes]:
    if isinstance(body, bytes):
        yield body[first:end]
        return
    with body.open("rb") as file:
        file.seek(first)
        while first < end and (block := file.read(min(_BLOCK_BYTES, end - first))):
            first += len(block)
            yield block
