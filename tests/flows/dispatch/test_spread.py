"""Shards spread over the nodes of a Ray cluster: two of them, started on this machine."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import ValidationError

from configs.schema import Runtime
from tests.flows.running import REPOSITORY, Run, tiny
from tests.processes import environment
from tests.ray_cluster import two_nodes

pytest.importorskip("ray", reason="needs pip install '.[ray]'")

NUM_SHARDS = 8


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with two_nodes() as address:
        yield address


@pytest.mark.slow
def test_shards_go_to_both_nodes_and_each_has_a_card(cluster: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.flows.dispatch.where_shards_go", cluster, str(tmp_path)]
    subprocess.run(
        [*command, str(NUM_SHARDS)],
        cwd=REPOSITORY, env=environment(), check=True, capture_output=True,
    )  # fmt: skip
    found = [json.loads(path.read_text()) for path in (tmp_path / "where").iterdir()]
    assert len(found) == NUM_SHARDS
    assert len({one["node"] for one in found}) == 2
    assert all(len(one["cards"]) == 1 for one in found)


@pytest.mark.slow
def test_what_a_cluster_keeps_is_what_one_machine_keeps(
    cluster: str, finished: Run, tmp_path: Path
) -> None:
    on_cluster = {
        "runner": "ray",
        "ray_address": cluster,
        "ray_gpus_per_shard": 1,
        "device": "cpu",
    }
    run = tiny(tmp_path, runtime=on_cluster)
    told = run.run("--until", "publish", expect=2).stderr
    assert "root is 'tiny-data', which is another folder on each machine" in told

    settings = yaml.safe_load(run.config.read_text())
    run.config.write_text(yaml.safe_dump({**settings, "root": str(run.root)}))
    run.run("--until", "publish")
    for stage in ("normalise", "filter"):
        assert digests(run, stage) == digests(finished, stage)
    # Ray gives a process one thread, and with that the last bits of log-probabilities are others
    assert tokens(run) == tokens(finished)


def entries(run: Run) -> list[dict[str, Any]]:
    manifest = json.loads((run.root / "manifests" / "tiny" / "00001.json").read_text())
    found: list[dict[str, Any]] = manifest["content"]["entries"]
    return found


def digests(run: Run, stage: str) -> list[str]:
    return [entry["files"][stage]["sha256"] for entry in entries(run)]


def tokens(run: Run) -> list[list[int]]:
    labels = [pq.read_table(run.root / entry["files"]["label"]["path"]) for entry in entries(run)]
    return [row for table in labels for row in table.column("pseudo_tokens").to_pylist()]


def test_a_cluster_places_shards_itself() -> None:
    with pytest.raises(ValidationError, match="leave devices out"):
        Runtime(runner="ray", devices=("cuda:0",))
    with pytest.raises(ValidationError, match="environment of each machine"):
        Runtime(runner="ray", s3_credentials="keys")
