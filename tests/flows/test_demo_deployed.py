"""The deployed demo: a scheduled run fails on one shard; its retry gives the local manifest."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import postgres
from tests.flows.installation import Installation, installed
from tests.flows.running import REPOSITORY, TEACHER, Run
from tests.prefect_server import worker
from tests.s3_servers import S3Server, bucket, lacking_programs

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600), postgres.NEEDED]

BUCKET = "demo"
SHARD = "tedlium/train/00000"  # a sixth of its rows are unreadable
LIMIT_S = 1_500.0


@pytest.fixture
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    s3: S3Server = request.getfixturevalue("moto" if lacking_programs() else "ceph")
    bucket(s3, BUCKET)
    with installed(tmp_path_factory.mktemp("parts"), s3.environment) as made:
        yield made


def demo(folder: Path, root: str, max_quarantined_percent: float) -> Run:
    """The checked-in demo with another root and limit of unreadable rows."""
    settings = yaml.safe_load((REPOSITORY / "configs" / "demo.yaml").read_text())
    settings["root"] = root
    settings["label"]["teacher"]["path"] = str(TEACHER)
    settings["runtime"]["max_quarantined_percent"] = max_quarantined_percent
    config = folder / "demo.yaml"
    config.write_text(yaml.safe_dump(settings))
    return Run(folder, config)


def test_the_deployed_demo_gives_the_manifest_of_a_local_run(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("deployed")
    run = demo(folder, f"s3://{BUCKET}/root", max_quarantined_percent=10)
    with worker(installation.server, "cpu", installation.folder, **installation.storage):
        run_id = installation.on_its_schedule(folder, run.config.name, "distillery/demo")
        failed = installation.ended(run_id, LIMIT_S)
        assert failed["state_type"] == "FAILED"
        assert f"failed: normalise {SHARD}: 24 of 150 rows" in failed["state"]["message"]
        assert f"again: distillery rerun demo.yaml normalise {SHARD}" in failed["state"]["message"]
        states = {one["name"]: one["state_type"] for one in installation.below(run_id)}
        assert {name for name, state in states.items() if state == "FAILED"} == {
            "normalise tedlium",
            "publish",
        }
        demo(folder, f"s3://{BUCKET}/root", max_quarantined_percent=20)
        picture = installation.folder / "rerun.png"
        retried = installation.redo_and_retry(run_id, "rerun-shard/demo", SHARD, picture, LIMIT_S)
    assert (retried["state_type"], retried["run_count"]) == ("COMPLETED", 2)
    words = ("distillery", "manifest", "show", run.config.name, "--json")
    digest = json.loads(installation.command(folder, *words))["digest"]
    local = demo(tmp_path_factory.mktemp("local"), "demo-data", max_quarantined_percent=20)
    local.run("--until", "publish")
    assert digest == local.digest
