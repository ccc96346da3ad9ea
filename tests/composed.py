"""Runs the services of docker-compose.yml as processes on loopback, with their own settings."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.prefect_server import PREFECT
from tests.processes import environment, free_port, running, wait_for

REPOSITORY = Path(__file__).parents[1]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(
    (REPOSITORY / "docker-compose.yml").read_text()
)["services"]
_DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
_UP_LIMIT_S = 60.0
_ANY_ADDRESS = str(IPv4Address(0))


def lacking() -> list[str]:
    """The required programs of PostgreSQL and Redis that are not installed."""
    found = {
        "initdb (Debian: postgresql)": _program("initdb"),
        "postgres (Debian: postgresql)": _program("postgres"),
        "redis-server": _program("redis-server"),
        "redis-cli (Debian: redis-tools)": _program("redis-cli"),
        "runuser": _program("runuser"),
    }
    return [name for name, path in found.items() if not path]


def _program(name: str) -> str:
    """The path of a program, or ""; Debian keeps those of PostgreSQL outside PATH."""
    of_debian = sorted(_DEBIAN_POSTGRES.glob(f"*/bin/{name}"))
    return str(of_debian[-1]) if of_debian else shutil.which(name) or ""


@dataclass(frozen=True)
class Composed:
    """The secrets of an `.env` file and the port of each service on loopback."""

    folder: Path
    secrets: Mapping[str, str]
    ports: Mapping[str, int] = field(
        default_factory=lambda: {name: free_port() for name in ("database", "redis", "api")}
    )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['api']}/api"

    def variables(self, service: str) -> dict[str, str]:
        """The environment of a service, with loopback addresses in place of service names."""
        found = {}
        for name, value in SERVICES[service]["environment"].items():
            value = re.sub(
                r"\$\{([A-Z0-9_]+)[^}]*\}", lambda match: self.secrets.get(match[1], ""), value
            )
            for other, port in self.ports.items():
                value = re.sub(rf"(@|//){other}:\d+", rf"\g<1>127.0.0.1:{port}", value)
            found[name] = value
        if "PREFECT_REDIS_MESSAGING_HOST" in found:
            assert found["PREFECT_REDIS_MESSAGING_HOST"] == "redis"
            found["PREFECT_REDIS_MESSAGING_HOST"] = "127.0.0.1"
            found["PREFECT_REDIS_MESSAGING_PORT"] = str(self.ports["redis"])
        found["PREFECT_WORKER_WEBSERVER_PORT"] = str(
            free_port()
        )  # each container has one of its own
        return {**found, "PREFECT_HOME": str(self.folder / f"{service}-home")}

    @contextmanager
    def prefect(self, service: str) -> Iterator[psutil.Popen]:
        """Run a service whose program is Prefect."""
        assert SERVICES[service]["entrypoint"] == ["prefect"]
        words = [
            {_ANY_ADDRESS: "127.0.0.1", "4200": str(self.ports["api"])}.get(word, word)
            for word in SERVICES[service]["command"]
        ]
        log = self.folder / f"{service}.log"
        variables = environment(**self.variables(service))
        with running([str(PREFECT), *words], variables, log, self.folder) as process:
            yield process

    @contextmanager
    def redis(self) -> Iterator[None]:
        """Run Redis with the shell command of its service."""
        (line,) = SERVICES["redis"]["command"]
        line = f"{line.replace('$$', '$')} --port {self.ports['redis']} --bind 127.0.0.1"
        password = self.secrets["REDIS_PASSWORD"]
        variables = environment(REDIS_PASSWORD=password)
        with running(["sh", "-c", line], variables, self.folder / "redis.log", self.folder):
            wait_for(lambda: self.ask_redis("ping") == "PONG", _UP_LIMIT_S, "Redis")
            yield

    def ask_redis(self, *words: str) -> str:
        """The reply to a Redis command."""
        command = ["redis-cli", "-p", str(self.ports["redis"]), *words]
        variables = environment(REDISCLI_AUTH=self.secrets["REDIS_PASSWORD"])
        return subprocess.run(command, env=variables, capture_output=True, text=True).stdout.strip()

    @contextmanager
    def database(self) -> Iterator[None]:
        """Run PostgreSQL with a password, as another user, because it refuses to run as root."""
        wanted = self.variables("database")
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            (folder / "password").write_text(wanted["POSTGRES_PASSWORD"])
            as_user = _as_another_user(folder)
            login = ["--username", wanted["POSTGRES_USER"], "--pwfile", str(folder / "password")]
            data = ["-D", str(folder / "data")]
            kind = ["--no-sync", "--encoding", "UTF8", "--auth", "scram-sha-256"]
            new = [*as_user, _program("initdb"), *data, *kind, *login]
            subprocess.run(new, check=True, capture_output=True)
            options = [
                "-p", str(self.ports["database"]),
                "-c", "listen_addresses=127.0.0.1",
                "-c", f"unix_socket_directories={folder}",
            ]  # fmt: skip
            server = [_program("postgres"), *data, *options]
            log = self.folder / "database.log"
            with running([*as_user, *server], environment(), log):
                asked = ("select 1", "postgres")
                wait_for(lambda: self.ask_database(*asked) == "1", _UP_LIMIT_S, "PostgreSQL")
                self.ask_database(f"create database {wanted['POSTGRES_DB']}", "postgres")
                yield

    def ask_database(self, query: str, database: str = "prefect") -> str:
        """The result of a query as text; empty if it fails."""
        command = [
            "psql", "--host", "127.0.0.1", "--port", str(self.ports["database"]), "--username",
            "prefect", "--dbname", database, "--no-align", "--tuples-only", "--command", query,
        ]  # fmt: skip
        variables = environment(PGPASSWORD=self.secrets["POSTGRES_PASSWORD"])
        return subprocess.run(command, env=variables, capture_output=True, text=True).stdout.strip()


def _as_another_user(folder: Path) -> list[str]:
    if os.geteuid() != 0:
        return []
    for path in (folder, folder / "password"):
        shutil.chown(path, "postgres", "postgres")
    return ["runuser", "-u", "postgres", "--"]
