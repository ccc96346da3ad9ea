"""The composition in containers: build, start, fail, repair, upgrade, back up, restore.

The tests build on each other, in their order.
"""

import json
import logging
import re
from datetime import UTC, datetime

import httpx
import pytest

from tests.containers.composition import REPOSITORY, Composition
from tests.processes import wait_for

pytestmark = pytest.mark.containers

LOG = logging.getLogger(__name__)
CONFIG = "configs/night.yaml"
SHARD = "tedlium/train/00000"  # a sixth of its rows are unreadable
PIPELINE = "distillery/demo"
LIMIT_S = 1_500.0
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
MAX_IMAGE_BYTES = 1_500_000_000
LONG_RUNNING = ("database", "redis", "objects", "api", "services", "worker-cpu")
DIGEST = re.search(r"Manifest demo 1 +([0-9a-f]{16})", (REPOSITORY / "README.md").read_text())[1]
"""Of `make demo`."""

PAGE = (REPOSITORY / "docs" / "operations.md").read_text()


def commands(heading: str) -> str:
    """The first block of commands under a heading of docs/operations.md."""
    below = PAGE.split(f"\n### {heading}\n")[1]
    lines = re.search(r"^\n((?:    .+\n)+)", below, re.MULTILINE)[1].splitlines()
    return "\n".join(line.strip() for line in lines)


def configure(up: Composition, max_quarantined_percent: int) -> None:
    """The demo with results in the object store, and another limit of unreadable rows."""
    text = (REPOSITORY / "configs" / "demo.yaml").read_text()
    text = re.sub(r"^root: .*$", "root: s3://distillery/demo", text, flags=re.MULTILINE)
    limit = f"max_quarantined_percent: {max_quarantined_percent}"
    (up.folder / CONFIG).write_text(re.sub(r"max_quarantined_percent: \d+", limit, text))


def runs(up: Composition) -> dict[str, str]:
    """The state of each run that has started, by its id."""
    found = up.server.all("flow_runs", sort="START_TIME_ASC")
    return {one["id"]: one["state_type"] for one in found if one["start_time"]}


def test_the_image_is_small_and_has_no_tools(built: Composition) -> None:
    sizes = built.shell("docker images --format '{{.Repository}}:{{.Tag}} {{.Size}}'")
    LOG.info("images:\n%s", sizes)
    [image] = json.loads(built.shell("docker image inspect distillery:0.1.0"))
    LOG.info("distillery:0.1.0: %.3f GB", image["Size"] / 1e9)
    assert image["Size"] <= MAX_IMAGE_BYTES
    assert image["Config"]["User"] == "1000:1000"
    inside = "docker run --rm --entrypoint sh distillery:0.1.0 -c"
    looked_for = "for one in cc gcc ld make; do command -v $one; done; ls -d /etc/pip.conf"
    assert built.shell(f"{inside} '{looked_for}' 2> /dev/null || true") == ""
    in_venv = "ls -d /opt/venv/bin/pip* /opt/venv/lib/python3.11/site-packages/setuptools"
    assert built.shell(f"{inside} '{in_venv}' 2> /dev/null || true") == ""
    history = built.shell("docker history --no-trunc --format '{{.CreatedBy}}' distillery:0.1.0")
    environment = " ".join(image["Config"]["Env"])
    assert "find-links" not in history + environment


def test_nothing_starts_with_the_example_as_it_is(built: Composition) -> None:
    words = "docker compose --env-file .env.example config --quiet"
    assert "required variable" in built.shell(f"{words} 2>&1 || true")


def test_services_start_in_order_healthy_and_confined(up: Composition) -> None:
    started = []
    for service in LONG_RUNNING:
        found = up.inspect(service)
        host = found["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert "ALL" in host["CapDrop"], service
        assert host["Memory"] > 0, service
        assert host["PidsLimit"] > 0, service
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service
        for bindings in (host["PortBindings"] or {}).values():
            assert {one["HostIp"] for one in bindings} == {"127.0.0.1"}
        started.append((found["State"]["StartedAt"], service))
    order = [service for _, service in sorted(started)]
    for first, second in (
        ("database", "api"), ("redis", "api"), ("api", "services"), ("api", "worker-cpu"),
        ("objects", "worker-cpu"),
    ):  # fmt: skip
        assert order.index(first) < order.index(second)
    assert httpx.get(up.server.url).text.lower().startswith("<!doctype html>")
    assert httpx.post(f"{up.server.url}/api/flow_runs/filter", json={}).status_code == 401


def test_the_scheduled_demo_fails_on_one_shard_and_its_retry_gives_the_manifest_of_a_local_run(
    up: Composition,
) -> None:
    configure(up, max_quarantined_percent=10)
    run = up.on_its_schedule(up.folder, CONFIG, PIPELINE)
    failed = up.ended(run, LIMIT_S)
    assert failed["state_type"] == "FAILED", failed["state"]["message"]
    assert f"failed: normalise {SHARD}: 24 of 150 rows" in failed["state"]["message"]
    assert f"again: distillery rerun {CONFIG} normalise {SHARD}" in failed["state"]["message"]
    configure(up, max_quarantined_percent=20)
    picture = up.folder / "rerun.png"
    retried = up.redo_and_retry(run, "rerun-shard/demo", SHARD, picture, LIMIT_S)
    assert retried["state_type"] == "COMPLETED", retried["state"]["message"]
    digest = up.digest(CONFIG)
    LOG.info("digest of the manifest: %s; of a local run: %s", digest, DIGEST)
    assert digest.startswith(DIGEST)


def test_nothing_is_lost_when_each_service_is_killed_during_a_run(up: Composition) -> None:
    other = CONFIG.replace("night", "again")
    text = (up.folder / CONFIG).read_text().replace("s3://distillery/demo", "s3://distillery/again")
    (up.folder / other).write_text(text)
    up.command(up.folder, "distillery", "deploy", other, "--cron", "")
    run = up.begin(PIPELINE, until="publish")
    states: dict[str, str] = {}
    for service in LONG_RUNNING:
        wait_for(lambda: is_working(up, run), LIMIT_S, "the run")
        up.kill(service)
        wait_for(lambda: up.is_healthy("api"), LIMIT_S, "the API")
        states[service] = up.run_of(run)["state_type"]
        if service != "worker-cpu":  # whose run ends with it, to be marked as crashed
            back = datetime.now(UTC)
            wait_for(lambda since=back: beats(up, run, since), LIMIT_S, "a sign of life")
    LOG.info("state of the run after each service was killed: %s", states)
    last = up.ended(run, LIMIT_S)
    while last["state_type"] != "COMPLETED":
        assert last["run_count"] < 2 * len(LONG_RUNNING), last["state"]["message"]
        wait_for(lambda: is_working(up, run), LIMIT_S, "the retry")
        last = up.ended(run, LIMIT_S)
    LOG.info("it ran %d times", last["run_count"])
    assert up.digest(other).startswith(DIGEST)


def beats(up: Composition, run: str, since: datetime) -> bool:
    """Whether a sign of life of a run has arrived since then, or the run has ended."""
    sought = {
        "event": {"name": ["prefect.flow-run.heartbeat"]},
        "resource": {"id": [f"prefect.flow-run.{run}"]},
        "occurred": {"since": since.isoformat()},
    }
    has_ended = up.run_of(run)["state_type"] in ENDED
    return has_ended or bool(up.server.ask("events/filter", {"filter": sought})["events"])


def is_working(up: Composition, run: str) -> bool:
    """Whether a run is under way or complete; one that has failed is retried, as in the UI."""
    state = up.run_of(run)["state_type"]
    if state in ENDED - {"COMPLETED"}:
        up.retry(run)
    return state in ("RUNNING", "COMPLETED")


def test_an_upgrade_keeps_runs_and_results(up: Composition) -> None:
    before, digest = runs(up), up.digest(CONFIG)
    for name in ("docker-compose.yml", "distillery/__init__.py"):
        path = up.folder / name
        path.write_text(path.read_text().replace("distillery:0.1.0", "distillery:0.1.1") + "\n")
    up.shell(commands("Upgrade"))
    for service in LONG_RUNNING:
        wait_for(lambda name=service: up.is_healthy(name), LIMIT_S, service)
    assert up.inspect("worker-cpu")["Config"]["Image"] == "distillery:0.1.1"
    assert runs(up) == before
    assert up.digest(CONFIG) == digest
    assert_nothing_is_left_to_do(up)


def test_down_and_up_keeps_runs_and_results(up: Composition) -> None:
    before, digest = runs(up), up.digest(CONFIG)
    up.shell("docker compose down && docker compose up --detach")
    for service in LONG_RUNNING:
        wait_for(lambda name=service: up.is_healthy(name), LIMIT_S, service)
    assert runs(up) == before
    assert up.digest(CONFIG) == digest


def test_a_backup_restores_database_and_root(up: Composition) -> None:
    before, digest = runs(up), up.digest(CONFIG)
    deployed = {name: one["id"] for name, one in up.deployments().items()}
    up.shell(commands("Back up"))
    sizes = {one.name: one.stat().st_size for one in (up.folder / "backup").iterdir()}
    LOG.info("backup, in bytes: %s", sizes)
    up.shell("docker compose down --volumes")
    up.shell(commands("Restore"))
    for service in LONG_RUNNING:
        wait_for(lambda name=service: up.is_healthy(name), LIMIT_S, service)
    assert runs(up) == before
    assert {name: one["id"] for name, one in up.deployments().items()} == deployed
    assert up.digest(CONFIG) == digest
    assert_nothing_is_left_to_do(up)


def assert_nothing_is_left_to_do(up: Composition) -> None:
    """A run of the pipeline finds all shards done and publishes nothing new."""
    up.command(up.folder, "distillery", "deploy", CONFIG, "--cron", "")
    digest = up.digest(CONFIG)
    ended = up.ended(up.begin(PIPELINE, until="publish"), LIMIT_S)
    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
    assert up.digest(CONFIG) == digest
