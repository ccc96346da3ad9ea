"""A Prefect server on loopback, as an operator would start one: with a password."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.flows.running import environment
from tests.s3_servers import free_port

PREFECT = Path(sys.executable).with_name("prefect")
PASSWORD = "admin:not-the-one-of-the-example"
_STARTUP_LIMIT_S = 240.0
_STOP_LIMIT_S = 60.0


@dataclass(frozen=True)
class PrefectServer:
    """Where it answers, and what a client needs in its environment."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        return {"PREFECT_API_URL": self.url, "PREFECT_API_AUTH_STRING": PASSWORD}

    def found(self, kind: str, **wanted: object) -> list[dict[str, object]]:
        """All that the server has of a kind, such as `flow_runs`, page by page."""
        pages: list[dict[str, object]] = []
        while True:
            answer = httpx.post(
                f"{self.url}/{kind}/filter",
                json={**wanted, "limit": 200, "offset": len(pages)},
                auth=tuple(PASSWORD.split(":")),
                timeout=60,
            )
            page = answer.raise_for_status().json()
            pages += page
            if len(page) < 200:
                return pages


@contextmanager
def prefect_server(
    folder: Path, settings: Mapping[str, str] = {}, *options: str
) -> Iterator[PrefectServer]:
    """A server that keeps its state in `folder`; `options` are those of `prefect server start`."""
    port = free_port()
    variables = environment(
        PREFECT_HOME=str(folder / "prefect"),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        PREFECT_SERVER_API_AUTH_STRING=PASSWORD,
        PREFECT_API_AUTH_STRING=PASSWORD,
        DO_NOT_TRACK="1",
        **settings,
    )
    command = [str(PREFECT), "server", "start", "--port", str(port), *options]
    server = PrefectServer(f"http://127.0.0.1:{port}/api")
    with running(command, variables, folder / "server.log"):
        wait_for(lambda: httpx.get(f"{server.url}/health").is_success, _STARTUP_LIMIT_S)
        yield server


@contextmanager
def running(
    command: list[str], variables: Mapping[str, str], log_path: Path, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with an environment of its own, which ends with the test."""
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, cwd=cwd)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(condition: Callable[[], bool], limit_s: float) -> None:
    """Return once `condition` holds; a server that does not answer yet is waited for."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            if condition():
                return
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline, f"not within {limit_s} s"
        time.sleep(0.2)
