"""The tiny pipeline on a separately started Prefect server."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.flows.running import COMMAND, Run, environment, tiny

STARTUP_LIMIT_S = 120
SETTLE_LIMIT_S = 60


@pytest.fixture
def api(tmp_path: Path) -> Iterator[str]:
    """The URL of a real Prefect server on loopback with its own database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = environment(
        PREFECT_HOME=str(tmp_path / "prefect"),
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        DO_NOT_TRACK="1",
    )
    prefect = Path(sys.executable).with_name("prefect")
    command = [str(prefect), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    url = f"http://127.0.0.1:{port}/api"
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=settings, stdout=log, stderr=log)
        try:
            _wait_for(lambda: httpx.get(f"{url}/health").is_success, STARTUP_LIMIT_S)
            yield url
        finally:
            server.terminate()
            server.wait(30)


@pytest.mark.slow
def test_the_server_shows_every_flow_and_shard(api: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    run = tiny(folder)
    subprocess.run(
        [str(COMMAND), "run", "tiny.yaml", "--until", "filter"],
        cwd=folder, env=environment(PREFECT_API_URL=api), check=True, capture_output=True,
    )  # fmt: skip
    expected = _shard_names(run)
    _wait_for(lambda: expected <= _names(api, "task_runs"), SETTLE_LIMIT_S)
    flow_runs = _all(api, "flow_runs")
    stages = ("download", "plan", "normalise", "label", "score", "filter")
    assert {f"{stage} librispeech" for stage in stages} <= {one["name"] for one in flow_runs}
    assert {one["state_type"] for one in flow_runs} == {"COMPLETED"}
    assert not (folder / ".prefect").exists(), "a private server was started as well"


def _shard_names(run: Run) -> set[str]:
    """The expected names of the shards' task runs."""
    stages = ("normalise", "label", "score", "filter")
    keys = {"librispeech/train-clean-100/00000", "librispeech/train-clean-100/00001"}
    assert all(len(run.receipts(stage)) >= len(keys) for stage in stages)
    return {f"{stage} {key}" for stage in stages for key in keys}


def _names(api: str, kind: str) -> set[str]:
    return {one["name"] for one in _all(api, kind)}


def _all(api: str, kind: str) -> list[dict[str, str]]:
    response = httpx.post(f"{api}/{kind}/filter", json={"limit": 200})
    response.raise_for_status()
    rows: list[dict[str, str]] = response.json()
    return rows


def _wait_for(condition: Callable[[], bool], limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while True:
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, f"not within {limit_s} s"
        time.sleep(0.2)
