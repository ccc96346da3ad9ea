"""Registering with a Prefect server: pools, limits, deployments, automations; twice is as once."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.schedules import SCHEDULE_TYPES
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.workers.process import ProcessWorker

from configs.schema import RunConfig
from flows.dispatch.work_pools import CPU_POOL, GPU_POOL
from flows.server.automations import register_automations
from flows.server.deployments import ENVIRONMENT, Deployed, deployments_of, path_in
from storage.errors import UserError
from tasks.run import download_limits

HOME: Final = "DISTILLERY_HOME"
"""The variable that names the folder, on the workers, that paths of configurations start from."""

_SET_FOLDER: Final = "prefect.deployments.steps.set_working_directory"
_SKIP: Final = ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
"""A run that is due while the one before still goes on is not made."""

_POOLS: Final[Mapping[str, int | None]] = {CPU_POOL: None, GPU_POOL: 1}
"""Work pools and how many runs they take at once; an operator changes that in the UI."""


@contextmanager
def prefect_client() -> Iterator[SyncPrefectClient]:
    """A client of the server that PREFECT_API_URL names.

    Raises `UserError` when there is none, when it cannot be reached, and when it refuses.
    """
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        raise UserError(
            "PREFECT_API_URL names no server; start one with `prefect server start` or"
            " `docker compose up`, and set it to such as http://127.0.0.1:4200/api"
        )
    try:
        with get_client(sync_client=True) as client:
            client.request("GET", "/admin/version").raise_for_status()
            yield client
    except httpx.TransportError as error:
        raise UserError(
            f"the Prefect server at {url} cannot be reached ({type(error).__name__}); start it,"
            " or correct PREFECT_API_URL"
        ) from error
    except PrefectHTTPStatusError as error:
        if error.response.status_code != httpx.codes.UNAUTHORIZED:
            raise
        raise UserError(
            f"the Prefect server at {url} refuses the password; set PREFECT_API_AUTH_STRING to"
            " its user and password, as admin:…"
        ) from error


def deploy(
    config: Path, settings: RunConfig, schedule: SCHEDULE_TYPES | None, notify: str | None
) -> list[tuple[str, str]]:
    """Register a configuration; returns the name of each deployment and its work pool.

    `notify` is a block that is told of runs that failed, see `flows.server.automations`.
    What exists is updated; the limits that an operator has set on a pool stay.
    """
    folder = Path(os.environ.get(HOME) or Path.cwd()).absolute()
    wanted = deployments_of(path_in(folder, config), settings, schedule)
    with prefect_client() as client:
        for pool, limit in _POOLS.items():
            _create_pool(client, pool, limit)
        for name, num_at_once in download_limits(settings).items():
            client.upsert_global_concurrency_limit_by_name(name, num_at_once)
        ids = [_create(client, one, folder) for one in wanted]
        register_automations(client, settings.publish.name, ids, notify)
    return [(f"{one.flow.name}/{one.name}", one.pool) for one in wanted]


def _create_pool(client: SyncPrefectClient, name: str, limit: int | None) -> None:
    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        wanted = WorkPoolCreate(
            name=name, type="process", base_job_template=template, concurrency_limit=limit
        )
        client.create_work_pool(wanted)


def _create(client: SyncPrefectClient, wanted: Deployed, folder: Path) -> UUID:
    schedules = [DeploymentScheduleCreate(schedule=wanted.schedule)] if wanted.schedule else []
    return client.create_deployment(
        flow_id=client.create_flow_from_name(wanted.flow.name),
        name=wanted.name,
        entrypoint=wanted.entrypoint,
        description=wanted.flow.description,
        work_pool_name=wanted.pool,
        parameters=dict(wanted.parameters),
        parameter_openapi_schema=wanted.form,
        enforce_parameter_schema=True,
        schedules=schedules,
        tags=list(wanted.tags),
        pull_steps=[{_SET_FOLDER: {"directory": str(folder)}}],
        job_variables={"env": dict(ENVIRONMENT)},
        concurrency_limit=1 if wanted.one_at_a_time else None,
        concurrency_options=_SKIP if wanted.one_at_a_time else None,
    )
