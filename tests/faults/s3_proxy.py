"""A proxy in front of an S3 server that injects faults, on loopback.

Which request meets which fault follows from the seed, the request and how often it was made, not
from the order in which threads are served: the same requests meet the same faults.
"""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any
from urllib.parse import urlsplit

from tests.s3_servers import S3Server

KINDS = ("500", "503", "truncated", "lost", "reset", "delay")
"""Refused twice; half of a body; done but not answered; not done; late."""

_CODES = {403: "AccessDenied", 404: "NoSuchBucket", 500: "InternalError", 503: "SlowDown"}
_LONGEST_DELAY_S = 1.0
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}


@dataclass
class Faults:
    """Which faults to inject, and how many were."""

    percent: float
    seed: int
    kinds: tuple[str, ...] = KINDS
    applies: Callable[[str, str], bool] = lambda method, path: True
    injected: Counter[str] = field(default_factory=Counter)
    num_requests: int = 0
    refuse: int | None = None  # the status of every answer, for a time
    _seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, method: str, path: str) -> str | None:
        """The fault that this request meets."""
        with self._lock:
            self.num_requests += 1
            if self.refuse is not None:
                self.injected[str(self.refuse)] += 1
                return str(self.refuse)
            self._seen[method, path] += 1
            number = self._seen[method, path]
            random = Random(f"{self.seed} {method} {path} {number}")
            if random.uniform(0, 100) >= self.percent or not self.applies(method, path):
                return None
            kind = random.choice(self.kinds)
            if kind == "truncated" and method != "GET":
                kind = "reset"
            self.injected[kind] += 1
            return kind


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    faults: Faults
    upstream: str

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.faults.of(self.command, self.path)
        if fault == "reset":
            self.close_connection = True
        elif fault is not None and fault.isdigit():
            self._refuse(int(fault))
        else:
            if fault == "delay":
                time.sleep(Random(self.path).uniform(0, _LONGEST_DELAY_S))
            self._forward(body, fault)

    def do_GET(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _refuse(self, status: int) -> None:
        code = _CODES[status]
        text = f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _forward(self, body: bytes, fault: str | None) -> None:
        connection = http.client.HTTPConnection(self.upstream, timeout=60)
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP
        }
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if fault == "lost":
            self.close_connection = True
            return
        length = answer.headers.get("Content-Length") if self.command == "HEAD" else None
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(data)))
        self.end_headers()
        if fault == "truncated" and data:
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        else:
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # clients that were killed


@contextmanager
def proxy(server: S3Server, faults: Faults) -> Iterator[S3Server]:
    """The same server behind a proxy."""
    upstream = urlsplit(server.url).netloc
    handler = type("Proxy", (_Proxy,), {"faults": faults, "upstream": upstream})
    with _Server(("127.0.0.1", 0), handler) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield replace(server, url=f"http://127.0.0.1:{made.server_port}")
        finally:
            made.shutdown()
            thread.join()
