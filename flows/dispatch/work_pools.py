"""Where a stage is made: in the process of the run, or by a deployment in the pool of the GPUs."""

from collections.abc import Sequence
from typing import Any, Final

from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment

from configs.schema import RunConfig, Runtime
from flows.state.corpus_state import CorpusState
from storage.errors import DistilleryError
from storage.shard import ShardKey
from tasks.run import ShardFailed
from tasks.stages import Stage

CPU_POOL: Final = "cpu"
GPU_POOL: Final = "gpu"

_WITH_A_MODEL: Final = frozenset({"label", "distil", "evaluate"})
_POLL_S: Final = 2.0


class RunEndedError(DistilleryError):
    """A run that was placed elsewhere did not complete."""


def pool_of(runtime: Runtime, stage: Stage) -> str:
    """The work pool of a stage: that of the GPUs for a model that is configured to run on one."""
    wants_gpu = runtime.device == "cuda" or any(one != "cpu" for one in runtime.devices)
    return GPU_POOL if wants_gpu and stage in _WITH_A_MODEL else CPU_POOL


def run_elsewhere(
    config: str, settings: RunConfig, deployment: str, stage: Stage, corpus: str
) -> tuple[ShardFailed, ...]:
    """Have a corpus's pending shards made by the deployment of a stage; returns those that failed.

    What failed is what has no receipt afterwards, whatever became of the run.
    """
    if not _pending(settings, corpus, stage):
        return ()
    run = _run(deployment, stage, {"config": config, "corpus": corpus})
    state = CorpusState.open(settings, corpus)
    found = [failure for split in state.splits() for failure in state.split(stage, split).failures]
    reasons = {failure.key: failure.reason for failure in found}
    return tuple(
        ShardFailed(stage, key, reasons.get(key, f"not made: {_ended(run)}"))
        for key in _pending(settings, corpus, stage)
    )


def run_model_elsewhere(config: str, deployment: str, stage: Stage) -> None:
    """Have a training or a measurement done by its deployment; raises `RunEndedError`."""
    run = _run(deployment, stage, {"config": config})
    if run.state is None or not run.state.is_completed():
        raise RunEndedError(f"{stage}: {_ended(run)}")


def _run(deployment: str, stage: Stage, parameters: dict[str, Any]) -> FlowRun:
    run = run_deployment(f"{stage}/{deployment}", parameters=parameters, poll_interval=_POLL_S)
    assert isinstance(run, FlowRun)
    return run


def _pending(settings: RunConfig, corpus: str, stage: Stage) -> Sequence[ShardKey]:
    return [shard.key for shard in CorpusState.open(settings, corpus).pending(stage)]


def _ended(run: FlowRun) -> str:
    state = "no state" if run.state is None else f"{run.state.name}: {run.state.message or ''}"
    return f"its flow run {run.name} ended as {state.rstrip(': ')}"
