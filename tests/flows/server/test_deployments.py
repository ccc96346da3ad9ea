"""The deployments of a configuration, without a server."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

from configs.load import load_config
from configs.schema import RunConfig
from flows.server.automations import WEBHOOK_URL
from flows.server.deployments import ENVIRONMENT, Deployed, deployments_of, path_in, schedule_of
from storage.errors import UserError
from tasks.run import download_limits
from tasks.stages import STAGE_NAMES

REPOSITORY = Path(__file__).parents[3]
DEMO = load_config(REPOSITORY / "configs" / "demo.yaml")
DEFAULT_CRON = "0 2 * * *"


def deployed(config: RunConfig) -> dict[str, Deployed]:
    return {one.flow.name: one for one in deployments_of("run.yaml", config, None)}


def on(device: str, *devices: str) -> RunConfig:
    runtime = DEMO.runtime.model_copy(update={"device": device, "devices": devices})
    return DEMO.model_copy(update={"runtime": runtime})


def test_pipeline_stages_and_rerun_are_deployed_under_the_publish_name() -> None:
    found = deployed(DEMO)
    assert list(found) == ["distillery", *STAGE_NAMES, "rerun-shard"]
    assert {one.name for one in found.values()} == {"demo"}
    assert found["distillery"].one_at_a_time
    assert found["distillery"].parameters == {"config": "run.yaml", "deployment": "demo"}


def test_forms_offer_the_corpora_and_splits_of_the_run() -> None:
    form = deployed(DEMO)["rerun-shard"].form
    fields = form["properties"]
    assert form["required"] == ["config", "stage", "corpus", "split", "shard"]
    assert fields["config"]["enum"] == ["run.yaml"]
    assert fields["corpus"]["enum"] == list(DEMO.corpora)
    assert {"archives", "train-clean-100"} <= set(fields["split"]["enum"])
    assert (fields["shard"]["type"], fields["shard"]["minimum"]) == ("integer", 0)
    assert deployed(DEMO)["label"].form["properties"]["corpus"]["enum"] == list(DEMO.corpora)
    assert deployed(DEMO)["distillery"].form["properties"]["until"]["enum"] == list(STAGE_NAMES)


@pytest.mark.parametrize(
    ("config", "on_gpu"),
    [
        (on("auto"), set()),
        (on("cpu", "cpu", "cpu"), set()),
        (on("cuda"), {"label", "distil", "evaluate", "rerun-shard"}),
        (on("auto", "cuda:0", "cuda:1"), {"label", "distil", "evaluate", "rerun-shard"}),
    ],
    ids=["auto", "processes", "cuda", "two cards"],
)
def test_stages_that_need_a_gpu_are_in_the_gpu_pool(config: RunConfig, on_gpu: set[str]) -> None:
    pools = {name: one.pool for name, one in deployed(config).items()}
    assert {name for name, pool in pools.items() if pool == "gpu"} == on_gpu
    assert set(pools.values()) <= {"cpu", "gpu"}


def test_a_schedule_is_a_cron_an_interval_or_none() -> None:
    cron, interval = schedule_of("0 2 * * *", None), schedule_of("", 60.0)
    assert isinstance(cron, CronSchedule)
    assert isinstance(interval, IntervalSchedule)
    assert interval.interval == timedelta(minutes=1)
    assert interval == schedule_of("", 60.0)
    assert schedule_of("", None) is None


@pytest.mark.parametrize(("cron", "interval_s"), [("x y", None), ("61 * * * *", None), ("", 0.0)])
def test_an_invalid_schedule_is_refused(cron: str, interval_s: float | None) -> None:
    with pytest.raises(UserError, match=r"invalid schedule .* expected five fields"):
        schedule_of(cron, interval_s)


def test_a_configuration_path_is_relative_to_the_folder_of_the_runs(tmp_path: Path) -> None:
    assert path_in(tmp_path, tmp_path / "configs" / "demo.yaml") == "configs/demo.yaml"
    assert path_in(tmp_path / "other", tmp_path / "demo.yaml") == str(tmp_path / "demo.yaml")
    assert path_in(tmp_path, Path("demo")) == "demo", "a bundled one has no place"
    assert path_in(tmp_path, Path("demo:demo-strict")) == "demo:demo-strict"
    run = Path("grids/own.yaml:own-strict")
    assert path_in(tmp_path, tmp_path / run) == str(run)


def test_downloads_are_limited_by_host() -> None:
    assert download_limits(DEMO) == {}  # synthetic, so not downloaded
    full = download_limits(load_config(REPOSITORY / "configs" / "librispeech.yaml"))
    assert full == {"download-www.openslr.org": 4}


def test_prefect_yaml_describes_the_same_deployments() -> None:
    text = (REPOSITORY / "prefect.yaml").read_text()
    assert WEBHOOK_URL not in text
    described: dict[str, dict[str, Any]] = {
        one["entrypoint"]: one for one in yaml.safe_load(text)["deployments"]
    }
    expected = deployments_of("configs/demo.yaml", DEMO, schedule_of(DEFAULT_CRON, None))
    assert list(described) == [one.entrypoint for one in expected]
    for one in expected:
        written = described[one.entrypoint]
        assert (written["name"], tuple(written["tags"])) == (one.name, one.tags)
        assert written["parameters"] == one.parameters
        assert written["work_pool"]["name"] == one.pool
        assert written["work_pool"]["job_variables"] == {"env": ENVIRONMENT}
        assert ("concurrency_limit" in written) == one.one_at_a_time
        assert ("schedules" in written) == (one.schedule is not None)
