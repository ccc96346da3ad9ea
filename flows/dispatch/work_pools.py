"""Work pools: stages that want a GPU run as deployments in the pool of the GPUs."""

import contextvars
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, cast

from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from configs.schema import RunConfig, Runtime
from flows.dispatch.lane import EXPECTED, Ended
from flows.state.frontier import Unit
from storage.errors import DistilleryError
from storage.receipts import Failure, Split
from storage.shard import ShardKey
from storage.stage import combined_digest, find_receipt
from storage.store import Store
from tasks.job import Job
from tasks.run import ShardFailed
from tasks.stage import Resource
from tasks.stages import stage_named

CPU_POOL: Final = "cpu"
GPU_POOL: Final = "gpu"

_POLL_S: Final = 2.0


class RunEndedError(DistilleryError):
    """A run in another work pool did not complete."""


def pool_of(runtime: Runtime, stage: str) -> str:
    """The work pool of a stage: that of the GPUs if its model is configured to run on one."""
    wants_gpu = runtime.device == "cuda" or any(one != "cpu" for one in runtime.devices)
    return GPU_POOL if wants_gpu and stage_named(stage).resource is Resource.DEVICE else CPU_POOL


class DeploymentLane:
    """Makes the units of one stage and corpus by runs of the stage's deployment.

    A run makes all shards that are ready, those included that become ready while it runs. A unit
    without a receipt after a run that began once the unit was ready has failed, whatever became of
    the run; those that became ready later get a run of their own.
    """

    def __init__(
        self,
        config: str,
        settings: RunConfig,
        deployment: str,
        stage: str,
        corpus: str,
        on_end: Callable[[Ended], None],
    ) -> None:
        self._parameters = {"config": config, "corpus": corpus}
        self._deployment, self._stage, self._on_end = deployment, stage, on_end
        self._store = Store(settings.root, settings.runtime.scratch)
        self._queue: SimpleQueue[Unit | None] = SimpleQueue()
        context = contextvars.copy_context()  # so that the runs are children of this one
        self._thread = Thread(target=context.run, args=(self._work,), daemon=True)
        self._thread.start()

    def put(self, unit: Unit) -> None:
        """Make a unit."""
        self._queue.put(unit)

    def close(self) -> None:
        """Finish once everything that was put in has ended."""
        self._queue.put(None)

    def join(self) -> None:
        """Wait until the lane has finished."""
        self._thread.join()

    def _work(self) -> None:
        waiting: list[Unit] = []
        is_open = True
        while is_open or waiting:
            while is_open and (not waiting or not self._queue.empty()):
                unit = self._queue.get()
                is_open = unit is not None
                waiting += [] if unit is None else [unit]
            waiting = self._report_done(waiting)
            if not waiting:
                continue
            try:
                run = _run(self._deployment, self._stage, self._parameters)
                reason = f"not made: {_ended(run)}"
            except EXPECTED as error:
                reason = f"not made: {type(error).__name__}: {error}"
            failures = self._failures(waiting)
            for unit in self._report_done(waiting):
                failure = failures.get(unit.key)
                why = (failure.reason, failure.damaged) if failure else (reason, "")
                self._on_end(Ended(unit, ShardFailed(unit.stage, unit.key, *why)))
            waiting = []

    def _report_done(self, units: list[Unit]) -> list[Unit]:
        """Report the units that have a receipt; returns the others."""
        missing: list[Unit] = []
        for unit in units:
            job = cast("Job", unit.job)  # units of stages that want a GPU have one
            receipt = find_receipt(self._store, unit.place, combined_digest(job.sources))
            if receipt is None:
                missing.append(unit)
            else:
                self._on_end(Ended(unit, receipt))
        return missing

    def _failures(self, units: list[Unit]) -> dict[ShardKey, Failure]:
        folders = {unit.place.folder for unit in units}
        splits = [Split.load(self._store, folder) for folder in folders]
        return {failure.key: failure for split in splits for failure in split.failures}


def run_model_elsewhere(config: str, deployment: str, stage: str) -> None:
    """Have a training or an evaluation done by its deployment; raises `RunEndedError`."""
    run = _run(deployment, stage, {"config": config})
    if run.state is None or not run.state.is_completed():
        raise RunEndedError(f"{stage}: {_ended(run)}")


def _run(deployment: str, stage: str, parameters: dict[str, Any]) -> FlowRun:
    run = run_deployment(f"{stage}/{deployment}", parameters=parameters, poll_interval=_POLL_S)
    return cast("FlowRun", run)  # no coroutine outside an event loop


def _ended(run: FlowRun) -> str:
    state = "no state" if run.state is None else f"{run.state.name}: {run.state.message or ''}"
    return f"its flow run {run.name} ended as {state.rstrip(': ')}"
