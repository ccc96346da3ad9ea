"""Register work pools, limits, deployments and automations with a Prefect server; idempotent."""

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
"""Environment variable with the folder, on the workers, that configuration paths start from."""

_SET_FOLDER: Final = "prefect.deployments.steps.set_working_directory"
_SKIP: Final = ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
"""A run that is due while the previous one is still running is skipped."""

_POOLS: Final[Mapping[str, int | None]] = {CPU_POOL: None, GPU_POOL: 1}
"""Work pools and the number of runs that each executes at once; can be changed in the UI."""


@contextmanager
def prefect_client() -> Iterator[SyncPrefectClient]:
    """A client for the server at PREFECT_API_URL.

    Raises `UserError` if the variable is unset, or the server cannot be reached or rejects the
    password.
    """
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        raise UserError(
            "PREFECT_API_URL is not set; start a server with `prefect server start` or"
            " `docker compose up`, and set it to its URL, such as http://127.0.0.1:4200/api"
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
    """Register a configuration; returns the name and the work pool of each deployment.

    `notify` names the block that is notified of failed runs, see `register_automations`. What
    exists is updated; concurrency limits that were changed in the UI are kept.
    """
    folder = Path(os.environ.get(HOME) or Path.cwd()).absolute()
    deployments = deployments_of(path_in(folder, config), settings, schedule)
    with prefect_client() as client:
        for pool, max_runs in _POOLS.items():
            _create_pool(client, pool, max_runs)
        for name, max_downloads in download_limits(settings).items():
            client.upsert_global_concurrency_limit_by_name(name, max_downloads)
        ids = [_create(client, one, folder) for one in deployments]
        register_automations(client, settings.publish.name, ids, notify)
    return [(f"{one.flow.name}/{one.name}", one.pool) for one in deployments]


def _create_pool(client: SyncPrefectClient, name: str, limit: int | None) -> None:
    try:
        client.read_work_pool(name)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        pool = WorkPoolCreate(
            name=name, type="process", base_job_template=template, concurrency_limit=limit
        )
        client.create_work_pool(pool)


def _create(client: SyncPrefectClient, deployment: Deployed, folder: Path) -> UUID:
    schedules = (
        [DeploymentScheduleCreate(schedule=deployment.schedule)] if deployment.schedule else []
    )
    return client.create_deployment(
        flow_id=client.create_flow_from_name(deployment.flow.name),
        name=deployment.name,
        entrypoint=deployment.entrypoint,
        description=deployment.flow.description,
        work_pool_name=deployment.pool,
        parameters=dict(deployment.parameters),
        parameter_openapi_schema=deployment.form,
        enforce_parameter_schema=True,
        schedules=schedules,
        tags=list(deployment.tags),
        pull_steps=[{_SET_FOLDER: {"directory": str(folder)}}],
        job_variables={"env": dict(ENVIRONMENT)},
        concurrency_limit=1 if deployment.one_at_a_time else None,
        concurrency_options=_SKIP if deployment.one_at_a_time else None,
    )
