"""Tasks that Prefect runs as those of shards, and that do something else."""

from collections.abc import Callable, Mapping
from typing import Any

from prefect import Task, task

from configs.schema import Runtime
from flows.state.frontier import Unit
from storage.receipt import Receipt
from tasks.job import Job
from tasks.run import with_policy


def stub_tasks(
    work: Callable[[Job], Receipt], runtime: Runtime
) -> Callable[[Unit], tuple[Task[..., Receipt], Mapping[str, Any]]]:
    """The `task_of` of `Runs` whose tasks do `work`, under the policy of `runtime`."""

    @task(name="shard", task_run_name="{job.place.stage} {job.place.key}")
    def shard(job: Job) -> Receipt:
        return work(job)

    policed = with_policy(shard, runtime)
    return lambda unit: (policed, {"job": unit.job})
