"""docker-compose.yml in containers, from a copy of the repository."""

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
from base64 import urlsafe_b64encode
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.flows.installation import Installation
from tests.prefect_server import Server
from tests.processes import environment, wait_for

REPOSITORY = Path(__file__).parents[2]
PROJECT = "distillery-test"
PORT = 4200
UP_LIMIT_S = 600.0
_COMMAND_LIMIT_S = 1_200.0
_COPIED = (
    "configs", "distillery", "flows", "storage", "tasks", ".dockerignore", ".env.example",
    "Dockerfile", "LICENSE", "README.md", "docker-compose.yml", "pyproject.toml",
)  # fmt: skip
_MAY_STAY_EMPTY = {"HF_TOKEN", "DISTILLERY_WEBHOOK_URL", "TORCH_INDEX"}


def copied(folder: Path) -> None:
    """Copy what the image and the composition are made from."""
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in [*_COPIED, *(one.name for one in REPOSITORY.glob("requirements-image*.txt"))]:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=skip)
        else:
            shutil.copy(source, folder / name)


def fill_in_secrets(folder: Path) -> dict[str, str]:
    """Make `.env` from `.env.example` as its text says, and return its values."""
    text = (folder / ".env.example").read_text()
    values = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", text, re.MULTILINE))
    for name in values.keys() - _MAY_STAY_EMPTY:
        values[name] = values[name] or secrets.token_hex(16)
    key = urlsafe_b64encode(secrets.token_bytes(32)).decode()
    values["PREFECT_ENCRYPTION_KEY"] = key
    values["TORCH"] = "cpu"
    lines = [f"{name}={value}\n" for name, value in values.items()]
    (folder / ".env").write_text("".join(lines))
    return values


@dataclass(frozen=True)
class Composition(Installation):
    """The services, and the commands of docs/operations.md in the folder of their file."""

    files: tuple[str, ...] = ("docker-compose.yml",)

    @property
    def variables(self) -> dict[str, str]:
        return environment(COMPOSE_PROJECT_NAME=PROJECT, COMPOSE_FILE=":".join(self.files))

    def shell(self, line: str, expect: int = 0) -> str:
        """What a shell command prints; its exit status is as expected."""
        done = subprocess.run(
            [str(shutil.which("bash")), "-euo", "pipefail", "-c", line],
            cwd=self.folder, env=self.variables, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=_COMMAND_LIMIT_S,
        )  # fmt: skip
        assert done.returncode == expect, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout if expect == 0 else done.stdout + done.stderr

    def command(self, folder: Path, *words: str, expect: int = 0) -> str:
        """`distillery deploy` in its service, any other command in the worker."""
        program, verb, *rest = words
        assert program == "distillery"
        arguments = " ".join(f"'{word}'" for word in rest)
        if verb == "deploy":
            return self.shell(f"docker compose run --rm deploy {arguments}", expect)
        return self.shell(
            f"docker compose exec -T worker-cpu distillery {verb} {arguments}", expect
        )

    def run_of(self, run: str) -> dict[str, Any]:
        """A run, from a server that may have lost its database a moment ago."""

        def look() -> dict[str, Any] | None:
            with suppress(httpx.HTTPStatusError):
                return super(Composition, self).run_of(run)
            return None

        return wait_for(look, UP_LIMIT_S, "an answer of the server")

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine says of the container of a service."""
        name = self.shell(f"docker compose ps --all --quiet {service}").strip()
        found: list[dict[str, Any]] = json.loads(self.shell(f"docker inspect {name}"))
        return found[0]

    def is_healthy(self, service: str) -> bool:
        state = self.inspect(service)["State"]
        return bool(state["Running"] and state.get("Health", {}).get("Status") in (None, "healthy"))

    def kill(self, service: str) -> None:
        """Kill the first process of a service, so that the engine has to start it again.

        `docker kill` would count as a wish that it stays down.
        """
        before = self.inspect(service)
        os.kill(before["State"]["Pid"], signal.SIGKILL)

        def is_restarted() -> bool:
            now = self.inspect(service)
            again: bool = now["RestartCount"] > before["RestartCount"]
            return again and self.is_healthy(service)

        wait_for(is_restarted, UP_LIMIT_S, f"{service} after its end")

    def digest(self, config: str) -> str:
        shown = self.command(self.folder, "distillery", "manifest", "show", config, "--json")
        return str(json.loads(shown)["digest"])


def composition(folder: Path, files: tuple[str, ...]) -> Composition:
    """The services described in a copy of the repository; none is started."""
    values = fill_in_secrets(folder)
    server = Server(folder, password=values["PREFECT_PASSWORD"], port=PORT)
    return Composition(None, server, folder, {}, [], "", files)
