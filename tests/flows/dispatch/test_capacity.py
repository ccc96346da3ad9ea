"""How many shards are made at once, and that a shard's work can be sent to another process."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from configs.load import load_config
from configs.schema import Runtime
from flows.dispatch.advance import capacity
from storage.receipt import FileRef
from storage.shard import ShardKey
from storage.stage import Place
from tasks.device_pool import DevicePool
from tasks.job import Job
from tests.tasks.pool_work import echo

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("runtime", "resource", "num_units"),
    [
        (Runtime(workers=8), "device", 1),
        (Runtime(workers=8, devices=("cuda:0", "cuda:1")), "device", 2),
        (Runtime(workers=8, devices=("cuda:0",)), "cpu", 8),
        (Runtime(workers=8), "network", 8),
        (Runtime(workers=8, downloads_per_host=3), "network www.openslr.org", 3),
    ],
)
def test_each_resource_has_its_own_concurrency(runtime, resource, num_units):
    assert capacity(runtime, resource) == num_units


@pytest.mark.parametrize("devices", [["cuda:0", "cpu"], ["cuda:1", "cuda:1"], ["gpu"]])
def test_devices_are_different_cards_or_none(devices):
    with pytest.raises(ValidationError, match="devices"):
        Runtime(devices=devices)


def test_a_job_can_be_sent_to_another_process():
    config = load_config(str(ROOT / "configs" / "tiny.yaml"))
    audio = FileRef(path="normalise/a/00000.parquet", sha256="0" * 64, size_bytes=1)
    job = Job(
        place=Place(stage="label", fingerprint="f" * 16, key=ShardKey("a", "train", 0)),
        sources=(audio.sha256,),
        inputs={"normalise": audio},
    )
    pool = DevicePool(["cpu"])
    try:
        assert pool.run(echo, config, job) == (config, job)
    finally:
        pool.close()
