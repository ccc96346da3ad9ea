"""The composition, started once for all tests of this folder."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.containers.composition import PORT, REPOSITORY, Composition, composition, copied
from tests.processes import environment, free_port, is_up, running, wait_for

_OVERRIDE = "tests/containers/override.yml"
_PIP_CONF = "[global]\nno-index = true\nfind-links = http://127.0.0.1:{port}/\n"
_UP_LIMIT_S = 60.0


@contextmanager
def served_packages(folder: Path) -> Iterator[str]:
    """Download the image's packages as this machine's pip is set up to, and serve them on loopback.

    Yields a pip.conf that takes all packages from there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("", "-cpu"):
        words = ["download", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
        lock = str(REPOSITORY / f"requirements-image{part}.txt")
        pip = [sys.executable, "-m", "pip", *words, "--dest", str(folder), "--requirement", lock]
        subprocess.run(pip, check=True)
    port = free_port()
    serve = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with running(serve, environment(), folder.with_suffix(".log"), folder):
        wait_for(lambda: is_up(f"http://127.0.0.1:{port}/"), _UP_LIMIT_S, "the packages")
        yield _PIP_CONF.format(port=port)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composition]:
    """A copy of the repository with secrets in `.env`, and its image; nothing is started."""
    if shutil.which("docker") is None:
        pytest.skip("needs docker and its Compose; see .ci/containers")
    folder = tmp_path_factory.mktemp("installation")
    copied(folder)
    target = folder / _OVERRIDE
    target.parent.mkdir(parents=True)
    shutil.copy(REPOSITORY / _OVERRIDE, target)
    made = composition(folder, ("docker-compose.yml", _OVERRIDE))
    with served_packages(REPOSITORY / "build" / "containers" / "packages") as settings:
        (folder / "pip.conf").write_text(settings)
        made.shell("docker compose build worker-cpu")
        made.shell("docker compose build")  # the other services, from the same steps
        try:
            yield made
        finally:
            (REPOSITORY / "build" / "containers" / "services.log").write_text(
                made.shell("docker compose logs --no-color --timestamps 2>&1 || true")
            )
            made.shell("docker compose --profile '*' down --volumes --timeout 20 2>&1")


@pytest.fixture(scope="session")
def up(built: Composition) -> Composition:
    """The composition, healthy."""
    assert not _answers(), f"port {PORT} is in use"
    built.shell("docker compose up --detach --no-build 2>&1")
    for service in ("api", "services", "worker-cpu"):
        wait_for(lambda name=service: built.is_healthy(name), 600, service)
    return built


def _answers() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0
