"""What is deployed for a configuration: the pipeline on a schedule, each stage, one shard again.

`prefect.yaml` says the same of the demo for those who deploy with Prefect's own command; only the
lists of the forms, which come from a configuration, are not in it.
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

from configs.schema import RunConfig
from flows.dispatch.work_pools import CPU_POOL, pool_of
from flows.pipeline import CORPUS_STAGES
from storage.errors import UserError
from tasks.corpora.registry import corpus_of_run
from tasks.download.parts import ARCHIVES, chosen_splits
from tasks.stages import Stage

ENTRYPOINTS: Final[Mapping[Stage, str]] = {
    "download": "flows.shards.download",
    "plan": "flows.shards.plan",
    "normalise": "flows.shards.normalise",
    "label": "flows.shards.label",
    "score": "flows.shards.score",
    "index": "flows.shards.index",
    "filter": "flows.shards.filter_windows",
    "publish": "flows.pipeline.publish",
    "distil": "flows.pipeline.distil",
    "evaluate": "flows.pipeline.evaluate",
}
TAG: Final = "distillery"
PIPELINE: Final = "flows.pipeline.pipeline"
RERUN: Final = "flows.shards.rerun"

ENVIRONMENT: Final = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
}
"""Of each run; a run whose heartbeat stops is marked as crashed, see `flows.server.automations`."""

_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """One deployment, as the server is to know it."""

    entrypoint: str
    name: str
    pool: str
    parameters: Mapping[str, Any]
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)  # lists in the form
    schedule: SCHEDULE_TYPES | None = None
    tags: tuple[str, ...] = ()
    one_at_a_time: bool = False

    @property
    def flow(self) -> Flow[..., Any]:
        """The flow that it runs."""
        return load_flow_from_entrypoint(self.entrypoint)

    @property
    def form(self) -> dict[str, Any]:
        """The JSON schema of its parameters, which the UI draws as a form."""
        schema: dict[str, Any] = copy.deepcopy(self.flow.parameters.model_dump(exclude_unset=True))
        for parameter, values in self.choices.items():
            schema["properties"][parameter]["enum"] = list(values)
        return schema


def deployments_of(
    config: str, settings: RunConfig, schedule: SCHEDULE_TYPES | None
) -> list[Deployed]:
    """Everything that is deployed for the configuration at the path `config`.

    All are named by what it publishes. Raises `UserError` for a corpus or a split that there is
    not.
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
        choices={**choices, "deployment": (settings.publish.name,)},
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
    again = Deployed(
        **common,
        entrypoint=RERUN,
        pool=pool_of(settings.runtime, "label"),
        choices={**choices, "corpus": corpora, "split": _splits(settings)},
    )
    return [pipeline, *stages, again]


def schedule_of(cron: str, interval_s: float | None) -> SCHEDULE_TYPES | None:
    """When the pipeline runs, in UTC: each `interval_s`, or by `cron`, or never if that is empty.

    Raises `UserError` for what is no schedule.
    """
    try:
        if interval_s is not None:
            return IntervalSchedule(interval=timedelta(seconds=interval_s), anchor_date=_EPOCH)
        return CronSchedule(cron=cron, timezone="UTC") if cron else None
    except ValidationError as error:
        what = cron if interval_s is None else f"{interval_s:g} s"
        raise UserError(
            f"no schedule {what!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')};"
            " expected five fields such as '0 2 * * *', or seconds above 0"
        ) from error


def path_in(folder: Path, config: Path) -> str:
    """The path of a configuration as runs in `folder` read it: relative where it lies in it.

    The name of a bundled configuration, which is no file here, means the same everywhere.
    """
    if not config.exists():
        return str(config)
    absolute = config.absolute()
    return str(absolute.relative_to(folder) if absolute.is_relative_to(folder) else absolute)


def _splits(settings: RunConfig) -> tuple[str, ...]:
    """Every split that a shard may be of, and the name that downloads have in place of one."""
    found = {
        split
        for name, corpus in settings.corpora.items()
        for split in chosen_splits(corpus_of_run(settings, name), corpus)
    }
    return (ARCHIVES, *sorted(found))
