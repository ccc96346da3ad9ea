"""The deployments of a configuration: the scheduled pipeline, each stage, and `rerun-shard`.

`prefect.yaml` describes the same deployments of the demo for Prefect's own command, without the
choices in the forms, which depend on the configuration.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from prefect import Flow
from prefect.client.schemas.schedules import SCHEDULE_TYPES, CronSchedule, IntervalSchedule
from prefect.flows import load_flow_from_entrypoint
from pydantic import ValidationError

from configs.bundled import bundled_grids, bundled_names
from configs.grid_runs import split_reference
from configs.schema import RunConfig
from flows.dispatch.work_pools import CPU_POOL, pool_of
from flows.state.rerun import RERUN_STAGES
from storage.errors import UserError
from tasks import allocator
from tasks.corpora.registry import corpus_of_run
from tasks.download.parts import ARCHIVES, chosen_splits
from tasks.stages import CORPUS_STAGES, STAGE_NAMES

ENTRYPOINTS: Final = {name: f"flows.stages.{name}" for name in STAGE_NAMES}
TAG: Final = "distillery"
PIPELINE: Final = "flows.pipeline.pipeline"
RERUN: Final = "flows.stages.rerun"

ENVIRONMENT: Final = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    **allocator.ENVIRONMENT,
}
"""Variables of each run. A run whose heartbeat stops is marked as crashed, see `automations`."""

_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """One deployment, as it is registered with the server."""

    entrypoint: str
    name: str
    pool: str
    parameters: Mapping[str, Any]
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)  # options in the form
    schedule: SCHEDULE_TYPES | None = None
    tags: tuple[str, ...] = ()
    one_at_a_time: bool = False

    @property
    def flow(self) -> Flow[..., Any]:
        """The flow that the deployment runs."""
        return load_flow_from_entrypoint(self.entrypoint)

    @property
    def form(self) -> dict[str, Any]:
        """JSON schema of the parameters, which the UI renders as a form."""
        schema: dict[str, Any] = copy.deepcopy(self.flow.parameters.model_dump(exclude_unset=True))
        for parameter, values in self.choices.items():
            schema["properties"][parameter]["enum"] = list(values)
        return schema


def deployments_of(
    config: str, settings: RunConfig, schedule: SCHEDULE_TYPES | None
) -> list[Deployed]:
    """All deployments of the configuration at the path `config`, named after `publish.name`.

    Raises `UserError` for an unknown corpus or split.
    """
    common: dict[str, Any] = {
        "name": settings.publish.name,
        "tags": (TAG, settings.publish.name),
        "parameters": {"config": config},
    }
    choices, corpora = {"config": (config,)}, tuple(settings.corpora)
    pipeline = Deployed(
        **{**common, "parameters": {"config": config, "deployment": settings.publish.name}},
        entrypoint=PIPELINE,
        pool=CPU_POOL,
        choices={**choices, "until": STAGE_NAMES, "deployment": (settings.publish.name,)},
        schedule=schedule,
        one_at_a_time=True,
    )
    stages = [
        Deployed(
            **common,
            entrypoint=entrypoint,
            pool=pool_of(settings.runtime, stage),
            choices={**choices, **({"corpus": corpora} if stage in CORPUS_STAGES else {})},
        )
        for stage, entrypoint in ENTRYPOINTS.items()
    ]
    rerun = Deployed(
        **common,
        entrypoint=RERUN,
        pool=pool_of(settings.runtime, "label"),
        choices={
            **choices,
            "stage": RERUN_STAGES,
            "corpus": corpora,
            "split": _splits(settings),
        },
    )
    return [pipeline, *stages, rerun]


def schedule_of(cron: str, interval_s: float | None) -> SCHEDULE_TYPES | None:
    """When the pipeline runs, in UTC: every `interval_s`, else by `cron`; None if that is empty.

    Raises `UserError` for an invalid schedule.
    """
    try:
        if interval_s is not None:
            return IntervalSchedule(interval=timedelta(seconds=interval_s), anchor_date=_EPOCH)
        return CronSchedule(cron=cron, timezone="UTC") if cron else None
    except ValidationError as error:
        schedule = cron if interval_s is None else f"{interval_s:g} s"
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UserError(
            f"invalid schedule {schedule!r}: {reason}; expected five fields such as"
            " '0 2 * * *', or seconds above 0"
        ) from error


def path_in(folder: Path, config: Path) -> str:
    """The path of a configuration for runs that start in `folder`: relative if it is inside.

    The name of a bundled configuration, or of a run of a bundled grid, is the same everywhere
    unless it is a file here.
    """
    grid, name = split_reference(config)
    file, bundled = (Path(grid), bundled_grids()) if name else (config, bundled_names())
    if str(file) in bundled and not file.exists():
        return str(config)
    absolute = config.absolute()
    return str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute)


def _splits(settings: RunConfig) -> tuple[str, ...]:
    """All splits of the chosen corpora, and `archives`, which stands for a split in downloads."""
    splits = {
        split
        for name, corpus in settings.corpora.items()
        for split in chosen_splits(corpus_of_run(settings, name), corpus)
    }
    return (ARCHIVES, *sorted(splits))
