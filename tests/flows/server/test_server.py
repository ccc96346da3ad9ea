"""The tiny pipeline on a running Prefect server, and on a private one."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tests.flows.running import Run, copied, tiny
from tests.prefect_server import SHARED
from tests.processes import wait_for

SETTLE_LIMIT_S = 60
STAGES = ("download", "plan", "normalise", "label", "score", "filter")
SHARD_STAGES = ("normalise", "label", "score", "filter")
SHARDS = ("librispeech/train-clean-100/00000", "librispeech/train-clean-100/00001")


def test_the_server_shows_every_flow_and_shard(tmp_path: Path) -> None:
    server = SHARED.started()
    started_at = datetime.now(UTC).isoformat()

    def shown(kind: str) -> list[dict[str, Any]]:
        """The records of this run; earlier runs have ended."""
        return server.all(kind, **{kind: {"start_time": {"after_": started_at}}})

    run = tiny(tmp_path)
    run.run("--until", "filter")
    assert all(len(run.receipts(stage)) >= len(SHARDS) for stage in SHARD_STAGES)
    expected = {f"{stage} {key}" for stage in SHARD_STAGES for key in SHARDS}
    wait_for(
        lambda: expected <= {one["name"] for one in shown("task_runs")}, SETTLE_LIMIT_S, "task runs"
    )
    flow_runs = shown("flow_runs")
    assert {f"{stage} librispeech" for stage in STAGES} <= {one["name"] for one in flow_runs}
    assert {one["state_type"] for one in flow_runs} == {"COMPLETED"}
    assert not (tmp_path / ".prefect").exists(), "a private server was started as well"


def test_a_private_server_ends_with_the_run(finished: Run, tmp_path: Path) -> None:
    run = replace(copied(finished, tmp_path), starts_server=True)
    for receipt in (run.root / "filter").rglob("*.receipt.json"):
        receipt.unlink()
    run.run("--until", "publish")
    assert run.digest == finished.digest
    with closing(sqlite3.connect(tmp_path / ".prefect" / "prefect.db")) as database:
        rows = database.execute("select name, state_type from flow_run").fetchall()
    assert ("filter librispeech", "COMPLETED") in rows
    assert [one for one in psutil.process_iter() if _works_in(one, tmp_path)] == []


def test_a_scheduled_run_appears() -> None:
    """With unsuitable versions of its dependencies, a server starts but never schedules a run."""
    server = SHARED.started()
    flow = server.ask("flows/", {"name": "scheduled"})["id"]
    schedules = [{"schedule": {"interval": 3600.0}, "active": True}]
    body = {"name": "hourly", "flow_id": flow, "schedules": schedules}
    deployment = server.ask("deployments/", body)["id"]
    filters = {"deployment_id": {"any_": [deployment]}}
    runs = wait_for(
        lambda: server.all("flow_runs", flow_runs=filters), SETTLE_LIMIT_S, "a scheduled run"
    )
    assert {one["state_type"] for one in runs} == {"SCHEDULED"}
    assert all(one["auto_scheduled"] for one in runs)
    server.ask(f"flows/{flow}", method="DELETE")  # other tests share the server


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()) == folder
    except psutil.Error:
        return False
