"""A temporary PostgreSQL server on loopback."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import environment, free_port

_LIMIT_S = 240.0


def postgres_programs() -> Path | None:
    """The folder with PostgreSQL's programs, or None if it is not installed."""
    if found := shutil.which("pg_ctl"):
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


NEEDED = pytest.mark.skipif(
    postgres_programs() is None, reason="PostgreSQL is not installed (Debian: postgresql)"
)


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL cluster that requires a password."""

    programs: Path
    folder: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://prefect:{self.password}@127.0.0.1:{self.port}/postgres"

    def dump(self) -> str:
        """The contents of the database as SQL text."""
        words = ["pg_dump", "-h", "127.0.0.1", "-p", str(self.port), "-U", "prefect", "postgres"]
        settings = {**environment(), "PGPASSWORD": self.password}
        words[0] = str(self.programs / words[0])
        done = subprocess.run(words, env=settings, capture_output=True, text=True, check=True)
        return done.stdout

    def run(self, program: str, *words: str) -> None:
        # PostgreSQL refuses to run as root
        as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        command = [*as_user, str(self.programs / program), "-D", str(self.folder / "data"), *words]
        subprocess.run(command, check=True, capture_output=True, timeout=_LIMIT_S)


@contextmanager
def postgres(programs: Path) -> Iterator[Postgres]:
    """Run PostgreSQL in a folder that its user can read, unlike pytest's temporary folders."""
    folder = Path(tempfile.mkdtemp(prefix="distillery-postgres-"))
    password = secrets.token_hex(16)
    made = Postgres(programs, folder, free_port(), password)
    secret = folder / "password"
    secret.write_text(password)
    if os.getuid() == 0:
        for path in (folder, secret):
            shutil.chown(path, "postgres")
    try:
        login = ["-U", "prefect", "-A", "scram-sha-256", "--pwfile", str(secret)]
        made.run("initdb", "--encoding", "UTF8", *login)
        options = f"-p {made.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        made.run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield made
        finally:
            made.run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
