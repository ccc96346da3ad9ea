"""A Prefect server on loopback with a password, and workers for it."""

import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.processes import environment, free_port, is_up, kill, running, wait_for

PREFECT = Path(sys.executable).with_name("prefect")
USER = "admin"
_STARTUP_LIMIT_S = 240.0
_BUSY_LIMIT_S = 60.0


@dataclass
class Server:
    """A server that can be killed and restarted; its database is SQLite by default."""

    folder: Path
    database_url: str | None = None
    password: str = field(default_factory=lambda: secrets.token_hex(16))
    port: int = field(default_factory=free_port)
    running: psutil.Popen | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def client_settings(self) -> dict[str, str]:
        """The environment variables that its clients need."""
        return {
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_API_AUTH_STRING": f"{USER}:{self.password}",
            "PREFECT_HOME": str(self.folder / "client"),
            "DO_NOT_TRACK": "1",
        }

    def start(self) -> None:
        database = {"PREFECT_API_DATABASE_CONNECTION_URL": self.database_url}
        settings = environment(
            PREFECT_HOME=str(self.folder / "server"),
            PREFECT_SERVER_API_AUTH_STRING=f"{USER}:{self.password}",
            PREFECT_SERVER_UI_API_URL=f"{self.url}/api",
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE="200",
            PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE="200",
            PREFECT_SERVER_LOGGING_LEVEL="INFO",
            # the machine may be busy with other tests
            PREFECT_SERVER_DATABASE_TIMEOUT="60",
            PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT="60",
            DO_NOT_TRACK="1",
            **{name: value for name, value in database.items() if value},
        )
        words = [str(PREFECT), "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.running = psutil.Popen(words, env=settings, stdout=log, stderr=log)
        wait_for(lambda: is_up(f"{self.url}/api/health"), _STARTUP_LIMIT_S, "the server")

    def kill(self, *, patiently: bool = False) -> None:
        assert self.running is not None
        kill(self.running, patiently=patiently)

    def ask(self, path: str, body: Any = None, method: str = "POST") -> Any:
        """What the server answers, as JSON; it is asked again while its database is busy."""
        deadline_s = time.monotonic() + _BUSY_LIMIT_S
        while True:
            answer = httpx.request(
                method,
                f"{self.url}/api/{path}",
                json=body if method != "GET" else None,
                auth=(USER, self.password),
                timeout=60,
            )
            is_busy = answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
            if not is_busy or time.monotonic() > deadline_s:
                break
            time.sleep(0.5)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def all(self, kind: str, **filters: Any) -> list[dict[str, Any]]:
        """All objects of a kind, such as `flow_runs`."""
        found: list[dict[str, Any]] = []
        while page := self.ask(f"{kind}/filter", {"offset": len(found), "limit": 200, **filters}):
            found += page
        return found


@contextmanager
def prefect_server(folder: Path, database_url: str | None = None) -> Iterator[Server]:
    """Run a server that keeps its state in `folder`."""
    made = Server(folder, database_url)
    made.start()
    try:
        yield made
    finally:
        made.kill(patiently=True)


class SharedServer:
    """One server for all tests of a session, started when the first of them needs it."""

    def __init__(self) -> None:
        self._up = ExitStack()
        self._server: Server | None = None

    def started(self) -> Server:
        if self._server is None:
            folder = Path(self._up.enter_context(tempfile.TemporaryDirectory()))
            self._server = self._up.enter_context(prefect_server(folder))
        return self._server

    def stop(self) -> None:
        self._up.close()
        self._server = None


SHARED = SharedServer()


@contextmanager
def worker(of: Server, pool: str, folder: Path, **more: str) -> Iterator[psutil.Popen]:
    """Run a worker of a pool in a folder that is unrelated to the runs."""
    settings = environment(**of.client_settings, PREFECT_WORKER_QUERY_SECONDS="2", **more)
    words = [str(PREFECT), "worker", "start", "--pool", pool]
    with running(words, settings, folder / "worker.log", folder) as started:
        yield started
