"""Shards on a Ray cluster, where `runtime.runner` is `ray`.

Downloads and plans stay on the machine of the flow run.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from configs.schema import Runtime
from storage.errors import UserError
from tasks.stage import Resource
from tasks.stages import SHARD_STAGES, stage_named

_AHEAD: Final = 2
"""Shards in flight for each that the cluster runs at once, so that no part of it ever waits."""


def is_spread(runtime: Runtime, stage: str) -> bool:
    """Whether the shards of a stage run on a cluster."""
    return runtime.runner == "ray" and (stage in SHARD_STAGES or stage == "evaluate")


@contextmanager
def cluster(runtime: Runtime) -> Iterator[None]:
    """A connection to the Ray cluster of a run, shared by all its flow runs.

    Without `ray_address` that is the cluster of RAY_ADDRESS, or one on this machine for the time of
    the run. Raises `UserError` where Ray is not installed.
    """
    if runtime.runner != "ray":
        yield
        return
    if find_spec("prefect_ray") is None or find_spec("ray") is None:
        raise UserError("runtime.runner is ray, which needs pip install '.[ray]'")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init(
        address=runtime.ray_address,
        namespace="prefect",
        log_to_driver=False,
        logging_level="warning",
    )
    try:
        yield
    finally:
        ray.shutdown()


def task_runner(runtime: Runtime, stage: str) -> TaskRunner[Any]:
    """What runs the tasks of a flow run; on a cluster only inside `cluster`."""
    if not is_spread(runtime, stage):
        return ThreadPoolTaskRunner()
    from prefect_ray import RayTaskRunner

    runner: TaskRunner[Any] = RayTaskRunner(address=runtime.ray_address)
    return runner


def cluster_capacity(runtime: Runtime, stage: str) -> int:
    """How many shards of a stage to have in flight; raises `UserError` where none fits."""
    import ray

    num_gpus = _gpus_per_shard(runtime, stage)
    found = ray.cluster_resources()
    at_once = found.get("GPU", 0) / num_gpus if num_gpus else found.get("CPU", 1)
    if at_once < 1:
        raise UserError(
            f"a shard of {stage} asks for {num_gpus:g} GPUs and the Ray cluster has"
            f" {found.get('GPU', 0):g}; add machines, or change runtime.ray_gpus_per_shard"
        )
    return _AHEAD * int(at_once)


@contextmanager
def cluster_options(runtime: Runtime, stage: str) -> Iterator[None]:
    """Ask for what a shard needs, for tasks that are submitted inside."""
    if not is_spread(runtime, stage):
        yield
        return
    from prefect_ray.context import remote_options

    with remote_options(num_cpus=1, num_gpus=_gpus_per_shard(runtime, stage)):
        yield


def _gpus_per_shard(runtime: Runtime, stage: str) -> float:
    if stage_named(stage).resource is not Resource.DEVICE:
        return 0.0
    if runtime.ray_gpus_per_shard is not None:
        return runtime.ray_gpus_per_shard
    return 1.0 if runtime.device == "cuda" else 0.0
