"""How many shards are made at once, and that a shard's work can be sent to another process."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from configs.load import load_config
from configs.schema import Runtime
from storage.receipt import FileRef
from storage.shard import ShardKey
from storage.stage import Place
from tasks.device_pool import DevicePool
from tasks.run import num_in_flight
from tasks.work import Job
from tests.tasks.pool_work import echo

ROOT = Path(__file__).parents[2]


def test_a_model_has_a_device_to_itself():
    assert num_in_flight(Runtime(workers=8), "label") == 1
    assert num_in_flight(Runtime(workers=8, devices=("cuda:0", "cuda:1")), "label") == 2
    assert num_in_flight(Runtime(workers=8, devices=("cuda:0", "cuda:1")), "evaluate") == 2
    assert num_in_flight(Runtime(workers=8, devices=("cuda:0",)), "score") == 8


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
