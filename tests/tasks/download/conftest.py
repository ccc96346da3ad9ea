"""A web server of files that behaves as servers on the way do."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import pytest


@dataclass
class FileServer:
    """Files by name, and how the next requests are answered."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    status: int | None = None  # an error for every request
    takes_ranges: bool = True
    breaks_after: int | None = None  # bytes of a body, before the connection goes
    waits_for: Event | None = None  # before a body is sent
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # name, range
    encodings: set[str | None] = field(default_factory=set)  # that the requests took

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        name, asked_range = request.path.lstrip("/"), request.headers.get("Range")
        self.asked.append((name, asked_range))
        self.encodings.add(request.headers.get("Accept-Encoding"))
        status = self.status or (200 if name in self.files else 404)
        body = self.files.get(name, b"") if status == 200 else b"an error page"
        if status == 200 and asked_range and self.takes_ranges:
            start = int(asked_range.removeprefix("bytes=").removesuffix("-"))
            status, body = (206, body[start:]) if start < len(body) else (416, b"")
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if self.waits_for is not None:
            self.waits_for.wait(10)
        request.wfile.write(body[: self.breaks_after])


@pytest.fixture
def server() -> Iterator[FileServer]:
    """A server on loopback."""
    files = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            files.answer(self)

        def log_message(self, format: str, *args: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        files.url = f"http://127.0.0.1:{running.server_port}"
        Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield files
        running.shutdown()
