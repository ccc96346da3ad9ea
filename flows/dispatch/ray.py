"""Where the shards of a stage are made: by threads of this machine, or on a Ray cluster.

What is downloaded and planned stays with the machine of the flow run.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from configs.schema import Runtime
from storage.errors import UserError
from tasks.run import num_in_flight
from tasks.stages import SHARD_STAGES

_SPREAD: Final = frozenset({*SHARD_STAGES, "evaluate"})
_WITH_A_MODEL: Final = frozenset({"label", "evaluate"})
_AHEAD: Final = 2
"""Shards in flight for each that the cluster makes at once, so that no part of it ever waits."""


def is_spread(runtime: Runtime, stage: str) -> bool:
    """Whether the shards of a stage go to a cluster."""
    return runtime.runner == "ray" and stage in _SPREAD


def task_runner(runtime: Runtime, stage: str) -> TaskRunner[Any]:
    """What runs the tasks of a flow run; raises `UserError` where Ray is not installed."""
    if not is_spread(runtime, stage):
        return ThreadPoolTaskRunner()
    if find_spec("prefect_ray") is None or find_spec("ray") is None:
        raise UserError("runtime.runner is ray, which needs pip install '.[ray]' in the checkout")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    from prefect_ray import RayTaskRunner

    quiet = {"log_to_driver": False, "logging_level": "warning"}
    runner: TaskRunner[Any] = RayTaskRunner(address=runtime.ray_address, init_kwargs=quiet)
    return runner


@contextmanager
def placed(runtime: Runtime, stage: str) -> Iterator[int]:
    """Ask for what a shard needs while tasks are submitted; yields how many to have in flight."""
    if not is_spread(runtime, stage):
        yield num_in_flight(runtime, stage)
        return
    import ray
    from prefect_ray.context import remote_options

    num_gpus = _gpus_per_shard(runtime) if stage in _WITH_A_MODEL else 0.0
    cluster = ray.cluster_resources()
    at_once = cluster.get("GPU", 0) / num_gpus if num_gpus else cluster.get("CPU", 1)
    if at_once < 1:
        raise UserError(
            f"a shard of {stage} asks for {num_gpus:g} GPUs and the Ray cluster has"
            f" {cluster.get('GPU', 0):g}; add machines, or change runtime.ray_gpus_per_shard"
        )
    with remote_options(num_cpus=1, num_gpus=num_gpus):
        yield _AHEAD * int(at_once)


def _gpus_per_shard(runtime: Runtime) -> float:
    if runtime.ray_gpus_per_shard is not None:
        return runtime.ray_gpus_per_shard
    return 1.0 if runtime.device == "cuda" else 0.0
