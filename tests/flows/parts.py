"""The real parts of an installation, each a process on loopback: database, server, worker, S3."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import (
    BaseHTTPRequestHandler,
    SimpleHTTPRequestHandler,
    ThreadingHTTPServer,
)
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import httpx
import psutil

from tests.flows.running import environment

T = TypeVar("T")

BIN = Path(sys.executable).parent
STARTUP_LIMIT_S = 240.0
STOP_LIMIT_S = 30.0
USER = "admin"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(look: Callable[[], T], limit_s: float, what: str) -> T:
    """What `look` finds once that is true; a connection that fails is one to try again."""
    deadline = time.monotonic() + limit_s
    while True:
        with suppress(httpx.TransportError):
            if found := look():
                return found
        assert time.monotonic() < deadline, f"{what}: not within {limit_s:.0f} s"
        time.sleep(0.3)


def is_up(url: str) -> bool:
    return httpx.get(url).is_success


def postgres_programs() -> Path | None:
    """The folder of PostgreSQL's programs, where it is installed."""
    if found := shutil.which("pg_ctl"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@contextmanager
def process(
    words: list[str], log: Path, settings: Mapping[str, str], folder: Path | None = None
) -> Iterator[psutil.Process]:
    """A program that runs as long as the context; what it started ends with it."""
    with log.open("ab") as out:
        made = psutil.Popen(words, env=dict(settings), cwd=folder, stdout=out, stderr=out)
        try:
            yield made
        finally:
            kill(made, patiently=True)


def kill(started: psutil.Process, *, patiently: bool = False) -> None:
    """End a process and all that it started: at once, or after it had time to end by itself."""
    with suppress(psutil.NoSuchProcess):
        below = started.children(recursive=True)
        if patiently:
            started.terminate()
            psutil.wait_procs([started], STOP_LIMIT_S)
        for one in [started, *below]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs([started, *below], STOP_LIMIT_S)


@dataclass(frozen=True)
class Postgres:
    """A cluster of its own, which asks for a password."""

    programs: Path
    folder: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://prefect:{self.password}@127.0.0.1:{self.port}/postgres"

    def dump(self) -> str:
        """All that is in the database, as text."""
        words = ["pg_dump", "-h", "127.0.0.1", "-p", str(self.port), "-U", "prefect", "postgres"]
        settings = {**environment(), "PGPASSWORD": self.password}
        words[0] = str(self.programs / words[0])
        done = subprocess.run(words, env=settings, capture_output=True, text=True, check=True)
        return done.stdout

    def run(self, program: str, *words: str) -> None:
        # it refuses to run as root
        as_whom = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        command = [*as_whom, str(self.programs / program), "-D", str(self.folder / "data"), *words]
        subprocess.run(command, check=True, capture_output=True, timeout=STARTUP_LIMIT_S)


@contextmanager
def postgres(programs: Path, password: str) -> Iterator[Postgres]:
    """PostgreSQL in a folder that its user may enter, which the tests' own is not."""
    folder = Path(tempfile.mkdtemp(prefix="distillery-postgres-"))
    made = Postgres(programs, folder, free_port(), password)
    secret = folder / "password"
    secret.write_text(password)
    if os.getuid() == 0:
        for path in (folder, secret):
            shutil.chown(path, "postgres")
    try:
        made.run("initdb", "-U", "prefect", "-A", "scram-sha-256", "--pwfile", str(secret))
        options = f"-p {made.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        made.run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield made
        finally:
            made.run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Server:
    """A Prefect server with a password, which can be killed and started again."""

    folder: Path
    database_url: str
    password: str
    port: int = field(default_factory=free_port)
    running: psutil.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def client_settings(self) -> dict[str, str]:
        """What its clients need in their environment."""
        return {
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_API_AUTH_STRING": f"{USER}:{self.password}",
            "PREFECT_HOME": str(self.folder / "client"),
            "DO_NOT_TRACK": "1",
        }

    def start(self) -> None:
        settings = environment(
            PREFECT_HOME=str(self.folder / "server"),
            PREFECT_API_DATABASE_CONNECTION_URL=self.database_url,
            PREFECT_SERVER_API_AUTH_STRING=f"{USER}:{self.password}",
            PREFECT_SERVER_UI_API_URL=f"{self.url}/api",
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE="200",
            PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE="200",
            # a machine that runs other tests too may be slow to answer
            PREFECT_SERVER_LOGGING_LEVEL="INFO",
            PREFECT_SERVER_DATABASE_TIMEOUT="60",
            PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT="60",
            DO_NOT_TRACK="1",
        )
        words = [str(BIN / "prefect"), "server", "start", "--host", "127.0.0.1"]
        with (self.folder / "server.log").open("ab") as log:
            self.running = psutil.Popen(
                [*words, "--port", str(self.port)], env=settings, stdout=log, stderr=log
            )
        wait_for(lambda: is_up(f"{self.url}/api/health"), STARTUP_LIMIT_S, "the server")

    def kill(self, *, patiently: bool = False) -> None:
        assert self.running is not None
        kill(self.running, patiently=patiently)

    def ask(self, path: str, body: Any = None, method: str = "POST") -> Any:
        """What the server answers, as JSON."""
        answer = httpx.request(
            method,
            f"{self.url}/api/{path}",
            json=body if method != "GET" else None,
            auth=(USER, self.password),
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def all(self, kind: str, **filters: Any) -> list[dict[str, Any]]:
        """All objects of a kind, such as `flow_runs`."""
        found: list[dict[str, Any]] = []
        while page := self.ask(f"{kind}/filter", {"offset": len(found), "limit": 200, **filters}):
            found += page
        return found


@contextmanager
def server(folder: Path, database_url: str, password: str) -> Iterator[Server]:
    """A Prefect server that runs as long as the context."""
    made = Server(folder, database_url, password)
    made.start()
    try:
        yield made
    finally:
        made.kill(patiently=True)


@contextmanager
def worker(of: Server, pool: str, folder: Path, **more: str) -> Iterator[psutil.Process]:
    """A worker of a pool, started in a folder that has nothing to do with the runs."""
    settings = environment(**of.client_settings, PREFECT_WORKER_QUERY_SECONDS="2", **more)
    words = [str(BIN / "prefect"), "worker", "start", "--pool", pool]
    with process(words, folder / "worker.log", settings, folder) as started:
        yield started


@contextmanager
def s3_server(folder: Path, bucket: str) -> Iterator[dict[str, str]]:
    """An S3 server with a bucket; yields what its clients need in their environment."""
    import boto3

    url = f"http://127.0.0.1:{free_port()}"
    settings = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "operator",
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    words = [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", url.rpartition(":")[2]]
    with process(words, folder / "s3.log", environment()):
        wait_for(lambda: is_up(url), STARTUP_LIMIT_S, "the S3 server")
        client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name=settings["AWS_DEFAULT_REGION"],
            aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_bucket(Bucket=bucket)
        yield settings


@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """A server that takes what is posted to it: its address, and the bodies so far."""
    bodies: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    made = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}", bodies
    made.shutdown()


@contextmanager
def file_server(folder: Path) -> Iterator[str]:
    """A web server of a folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            return

    made = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
