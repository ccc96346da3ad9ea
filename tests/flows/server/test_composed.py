"""The services of docker-compose.yml work together: separate API and services, linked by Redis."""

import secrets
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from string import Template
from typing import Any

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
RUN_AGES_DAYS = {"expired": 91, "kept": 89}
EVENT_AGES_DAYS = {"test.expired": 8, "test.kept": 6}
AGE_RUN = Template("update flow_run set end_time = now() - interval '$days days' where id = '$run'")
ADD_EVENT = Template(
    "insert into events (occurred, event, resource_id, resource, payload, received, recorded)"
    " values (now() - interval '$days days', '$name', 'test', '{}', '{}', now(), now())"
)
STATE_OF_FILTER = Template("select state_type from task_run where name = 'filter $shard'")


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """All services but the object store and the GPU worker; the API is healthy.

    The background services start on a database with old flow runs and events.
    """
    if missing := lacking():
        pytest.skip(f"needs {', '.join(missing)}")
    made = {name: secrets.token_hex(16) for name in EXAMPLE}
    made["PREFECT_ENCRYPTION_KEY"] = urlsafe_b64encode(secrets.token_bytes(32)).decode()
    services = Composed(tmp_path_factory.mktemp("composed"), made)
    with ExitStack() as up:
        up.enter_context(services.database())
        up.enter_context(services.redis())
        up.enter_context(services.prefect("api"))
        wait_for(lambda: httpx.get(f"{services.url}/health").is_success, WITHIN_S, "the API")
        add_old_records(services)
        for service in ("services", "worker-cpu"):
            up.enter_context(services.prefect(service))
        yield services


@pytest.fixture(scope="module")
def client(composed: Composed) -> Iterator[httpx.Client]:
    with client_of(composed) as made:
        yield made


def client_of(composed: Composed) -> httpx.Client:
    password = composed.secrets["PREFECT_PASSWORD"]
    return httpx.Client(base_url=f"{composed.url}/", auth=("admin", password), timeout=60)


def add_old_records(composed: Composed) -> None:
    """Flow runs and events on both sides of the retention periods."""

    def create(path: str, body: dict[str, Any]) -> str:
        return str(client.post(path, json=body).raise_for_status().json()["id"])

    with client_of(composed) as client:
        flow = create("flows/", {"name": "old"})
        for name, age_days in RUN_AGES_DAYS.items():
            state = {"type": "COMPLETED", "name": "Completed"}
            run = create("flow_runs/", {"flow_id": flow, "name": name, "state": state})
            log = {"flow_run_id": run, "name": "old", "level": 20, "message": name}
            log["timestamp"] = "2026-01-01T00:00:00Z"
            client.post("logs/", json=[log]).raise_for_status()
            composed.ask_database(AGE_RUN.substitute(days=age_days, run=run))
    for name, age_days in EVENT_AGES_DAYS.items():
        composed.ask_database(ADD_EVENT.substitute(days=age_days, name=name))
    assert remaining(composed) == {*RUN_AGES_DAYS, *EVENT_AGES_DAYS}


def remaining(composed: Composed) -> set[str]:
    """Names of the old flow runs that have a log, and of the old events."""
    rows = composed.ask_database(
        "select flow_run.name from flow_run join log on log.flow_run_id = flow_run.id"
        " where log.message = flow_run.name"
        " union select event from events where event like 'test.%'"
    )
    return set(rows.splitlines())


@pytest.mark.slow
def test_services_delete_flow_runs_and_events_after_their_retention_period(
    composed: Composed,
) -> None:
    wait_for(lambda: remaining(composed) == {"kept", "test.kept"}, WITHIN_S, "the deletion")
    assert composed.ask_database("select message from log where message = 'expired'") == ""


@pytest.mark.slow
def test_a_flow_runs_and_its_task_comes_through_redis_into_postgresql(
    composed: Composed, client: httpx.Client, finished: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    run = copied(finished, folder)
    settings = yaml.safe_load(run.config.read_text())
    run.config.write_text(yaml.safe_dump({**settings, "root": str(run.root)}))
    before = run.receipts("filter")

    assert httpx.post(f"{composed.url}/flow_runs/filter", json={}).status_code == 401
    # the worker creates its pool
    wait_for(lambda: client.get("work_pools/cpu").is_success, WITHIN_S, "the pool")
    variables = environment(**composed.variables("worker-cpu"))
    subprocess.run([str(COMMAND), "deploy", run.config.name], env=variables, check=True, cwd=folder)
    name = settings["publish"]["name"]
    deployment = client.get(f"deployments/name/rerun-shard/{name}").json()["id"]
    corpus, split, _ = SHARD.split("/")
    shard = {"stage": "filter", "corpus": corpus, "split": split, "shard": 0}
    started = client.post(
        f"deployments/{deployment}/create_flow_run", json={"parameters": shard}
    ).json()["id"]

    def is_completed() -> bool:
        state = client.get(f"flow_runs/{started}").json()["state_type"]
        assert state not in ("FAILED", "CRASHED", "CANCELLED")
        return bool(state == "COMPLETED")

    wait_for(is_completed, WITHIN_S, "the end of the run")
    query = STATE_OF_FILTER.substitute(shard=SHARD)
    wait_for(lambda: composed.ask_database(query) == "COMPLETED", WITHIN_S, "its row")
    assert "events" in composed.ask_redis("--scan")
    assert run.receipts("filter").keys() == before.keys()
    assert run.receipts("filter") != before, "the shard was not redone"


def test_the_bucket_is_created_once_and_reused_afterwards(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    service = SERVICES["bucket"]
    for _ in range(2):
        subprocess.run(
            [sys.executable, *service["entrypoint"][1:], *service["command"]], check=True
        )
