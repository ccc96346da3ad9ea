"""File servers on loopback with configurable behaviour."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any


@dataclass
class Wire:
    """The transfer encoding of files."""

    takes_ranges: bool = True
    heeds_if_range: bool = True
    shifts_ranges: bool = False  # sends from another offset than requested
    says_size: bool = True  # or else ends with the connection
    breaks_after: int | None = None  # the place in every file where the connection goes
    breaks: list[int] = field(default_factory=list)  # bytes of each of the next bodies
    corrupted: dict[str, int] = field(default_factory=dict)  # name of a file: place of a wrong byte
    waits_for: Event | None = None  # before a body is sent
    delay_s: float = 0.0  # likewise
    most_at_once: int = 0
    _at_once: int = 0
    _lock: Any = field(default_factory=Lock)

    def send(
        self,
        request: BaseHTTPRequestHandler,
        name: str,
        data: bytes,
        headers: Mapping[str, str],
    ) -> None:
        """Send a file, or the requested range of it."""
        if name in self.corrupted:
            place = self.corrupted[name]
            data = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        versions = [headers.get("ETag"), headers.get("Last-Modified")]
        start, stop = self._range(request, len(data), versions)
        status = 416 if start >= len(data) > 0 else 200 if (start, stop) == (0, None) else 206
        start += self.shifts_ranges and status == 206
        body = b"" if status == 416 else data[start:stop]
        request.send_response(status)
        for header, value in headers.items():
            request.send_header(header, value)
        if self.says_size:
            request.send_header("Content-Length", str(len(body)))
        if status == 206:
            span = f"{start}-{start + len(body) - 1}"
            request.send_header("Content-Range", f"bytes {span}/{len(data)}")
        elif status == 416:
            request.send_header("Content-Range", f"bytes */{len(data)}")
        request.end_headers()
        if request.command == "GET":
            self._send_body(request, body, start)

    def _range(
        self, request: BaseHTTPRequestHandler, size: int, versions: Collection[str | None]
    ) -> tuple[int, int | None]:
        byte_range, if_range = request.headers.get("Range"), request.headers.get("If-Range")
        is_same = if_range is None or if_range in versions or not self.heeds_if_range
        if byte_range is None or not self.takes_ranges or not is_same:
            return 0, None
        first, _, last = byte_range.removeprefix("bytes=").partition("-")
        return int(first), min(int(last) + 1, size) if last else size

    def _send_body(self, request: BaseHTTPRequestHandler, body: bytes, start: int) -> None:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            limit = self.breaks.pop(0) if self.breaks else len(body)
        if self.breaks_after is not None:
            limit = min(limit, max(0, self.breaks_after - start))
        if self.waits_for is not None:
            self.waits_for.wait(10)
        time.sleep(self.delay_s)
        with self._lock:
            self._at_once -= 1
        request.wfile.write(body[:limit])
        request.close_connection = not self.says_size or limit < len(body)


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """The address of a server on loopback with this handler and keep-alive."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            answer(self)

        def do_HEAD(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            answer(self)

        def do_PUT(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: Any) -> None:
            return

    class Server(ThreadingHTTPServer):
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            return  # a client that went away

    with Server(("127.0.0.1", 0), Handler) as running:
        Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    """The address of a server for a folder."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        path = folder / request.path.lstrip("/")
        if path.is_file():
            Wire().send(request, path.name, path.read_bytes(), {})
        else:
            request.send_error(404)

    with serving(answer) as address:
        yield address


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """A server that records the bodies of POST requests: its address and the bodies."""
    bodies: list[str] = []

    def take(request: BaseHTTPRequestHandler) -> None:
        bodies.append(request.rfile.read(int(request.headers["Content-Length"])).decode())
        request.send_response(204)
        request.end_headers()

    with serving(take) as address:
        yield address, bodies
