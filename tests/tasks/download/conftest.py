"""Configurable file servers, and waits that take no time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import huggingface_hub
import pytest

from tasks.download import web
from tests.file_server import Wire, serving
from tests.hub_server import HubServer, hub_server


@dataclass
class FileServer(Wire):
    """Files by name, and the behaviour for the next requests."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = None
    modified: str | None = None
    status: int | None = None  # an error for every request
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # of what comes next
    redirects_to: str | None = None
    requests: list[tuple[str, str | None]] = field(default_factory=list)  # name, range
    encodings: set[str | None] = field(default_factory=set)  # that the requests took
    authorizations: list[str | None] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        name = request.path.lstrip("/").partition("?")[0]
        self.requests.append((name, request.headers.get("Range")))
        self.encodings.add(request.headers.get("Accept-Encoding"))
        self.authorizations.append(request.headers.get("Authorization"))
        status, headers = self.status or (200 if name in self.files else 404), {}
        if self.refusals:
            status, headers = self.refusals.pop(0)
        elif self.redirects_to is not None:
            status, headers = 302, {"Location": f"{self.redirects_to}/{name}"}
        if status == 200:
            versions = {"ETag": self.etag, "Last-Modified": self.modified}
            stated = {header: value for header, value in versions.items() if value is not None}
            self.send(request, name, self.files[name], stated)
            return
        request.send_response(status)
        for header, value in {**headers, "Content-Length": "13"}.items():
            request.send_header(header, value)
        request.end_headers()
        request.wfile.write(b"an error page")


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Records the seconds that downloads would have waited before retries."""
    waited: list[float] = []
    monkeypatch.setattr(web, "sleep", waited.append)
    return waited


@pytest.fixture
def server() -> Iterator[FileServer]:
    """A server on loopback."""
    files = FileServer()
    with serving(files.answer) as files.url:
        yield files


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """A Hub on loopback without data sets, set as `HF_ENDPOINT`; there is no token."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", constants.HF_HUB_DISABLE_TELEMETRY)
    with hub_server({}) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running
