"""The services of docker-compose.yml work together: API and services apart, Redis between them."""

import secrets
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import yaml

from tests.composed import SERVICES, Composed, lacking
from tests.flows.running import COMMAND, Run, copied
from tests.processes import environment, wait_for
from tests.s3_servers import S3Server
from tests.test_containers import EXAMPLE

SHARD = "librispeech/train-clean-100/00000"
WITHIN_S = 240.0


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Composed]:
    """Everything but the object store and the GPU, up and healthy."""
    if missing := lacking():
        pytest.skip(f"needs {', '.join(missing)}")
    made = {name: secrets.token_hex(16) for name in EXAMPLE}
    made["PREFECT_ENCRYPTION_KEY"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
    found = Composed(tmp_path, made)
    with ExitStack() as up:
        up.enter_context(found.database())
        up.enter_context(found.redis())
        up.enter_context(found.prefect("api"))
        wait_for(lambda: httpx.get(f"{found.url}/health").is_success, WITHIN_S, "the API")
        for service in ("services", "worker-cpu"):
            up.enter_context(found.prefect(service))
        yield found


@pytest.mark.slow
def test_a_flow_runs_and_its_task_comes_through_redis_into_postgresql(
    composed: Composed, finished: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    run = copied(finished, folder)
    settings = yaml.safe_load(run.config.read_text())
    run.config.write_text(yaml.safe_dump({**settings, "root": str(run.root)}))
    before = run.receipts("filter")

    client = httpx.Client(
        base_url=f"{composed.url}/",
        auth=("admin", composed.secrets["PREFECT_PASSWORD"]),
        timeout=60,
    )
    assert httpx.post(f"{composed.url}/flow_runs/filter", json={}).status_code == 401
    wait_for(
        lambda: client.get("work_pools/cpu").is_success, WITHIN_S, "the pool"
    )  # of the worker's making
    variables = environment(**composed.variables("worker-cpu"))
    subprocess.run([str(COMMAND), "deploy", run.config.name], env=variables, check=True, cwd=folder)
    name = settings["publish"]["name"]
    deployment = client.get(f"deployments/name/rerun-shard/{name}").json()["id"]
    corpus, split, _ = SHARD.split("/")
    shard = {"stage": "filter", "corpus": corpus, "split": split, "shard": 0}
    started = client.post(
        f"deployments/{deployment}/create_flow_run", json={"parameters": shard}
    ).json()["id"]

    def ended() -> bool:
        state = client.get(f"flow_runs/{started}").json()["state_type"]
        assert state not in ("FAILED", "CRASHED", "CANCELLED")
        return bool(state == "COMPLETED")

    wait_for(ended, WITHIN_S, "the end of the run")
    query = "select state_type from task_run where name = 'filter " + SHARD + "'"
    wait_for(lambda: composed.ask_database(query) == "COMPLETED", WITHIN_S, "its row")
    assert "events" in composed.ask_redis("--scan")
    assert run.receipts("filter").keys() == before.keys()
    assert run.receipts("filter") != before, "the shard was not made again"


def test_the_bucket_is_made_once_and_found_afterwards(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    service = SERVICES["bucket"]
    for _ in range(2):
        subprocess.run(
            [sys.executable, *service["entrypoint"][1:], *service["command"]], check=True
        )
