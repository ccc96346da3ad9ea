"""Whether the Prefect server, its pools and its workers are as a configuration needs them."""

import os
from collections.abc import Iterator

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterTags,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateName,
)
from prefect.client.schemas.objects import WorkerStatus
from prefect.exceptions import ObjectNotFound

from configs.schema import RunConfig
from flows.doctor.check import Check
from flows.server.automations import telling_name
from flows.server.deploy import prefect_client
from flows.server.deployments import TAG, Deployed, deployments_of
from storage.errors import without_secrets


def server_checks(config: str, settings: RunConfig) -> Iterator[Check]:
    """Server, deployments, pools, workers, late runs, notifications.

    Raises `UserError` when the server cannot be reached or refuses the password.
    """
    with prefect_client() as client:
        url = without_secrets(os.environ["PREFECT_API_URL"])
        yield Check(subject="server", state="ok", found=f"{url} answers and takes the password")
        wanted = deployments_of(config, settings, None)
        yield _deployments(client, config, settings.publish.name, wanted)
        for pool in dict.fromkeys(one.pool for one in wanted):
            yield _pool(client, pool)
        yield _late_runs(client, settings.publish.name)
        yield _notifications(client, settings.publish.name)


def _deployments(
    client: SyncPrefectClient, config: str, name: str, wanted: list[Deployed]
) -> Check:
    tags = DeploymentFilterTags(all_=[TAG, name])
    found = client.read_deployments(deployment_filter=DeploymentFilter(tags=tags), limit=200)
    missing = len(wanted) - len(found)
    if missing > 0:
        return Check(
            subject="deployments",
            state="problem",
            found=f"{missing} of {len(wanted)} deployments of {name} are missing",
            next_step=f"distillery deploy {config}",
        )
    is_due = any(one.active for deployment in found for one in deployment.schedules)
    when = "the pipeline is on a schedule" if is_due else "the pipeline runs when it is asked to"
    return Check(subject="deployments", state="ok", found=f"all of {name} are there; {when}")


def _pool(client: SyncPrefectClient, name: str) -> Check:
    """Whether a pool takes runs: it is there, not paused, and a worker looks into it."""
    subject = f"pool {name}"
    start = f"prefect worker start --pool {name}"
    try:
        pool = client.read_work_pool(name)
    except ObjectNotFound:
        return Check(
            subject=subject, state="problem", found="is missing", next_step="distillery deploy"
        )
    workers = client.read_workers_for_work_pool(name)
    online = [worker.name for worker in workers if worker.status == WorkerStatus.ONLINE]
    if pool.is_paused:
        return Check(
            subject=subject,
            state="problem",
            found="is paused: its runs wait",
            next_step=f"prefect work-pool resume {name}",
        )
    if not online:
        found = f"none of its {len(workers)} workers is online" if workers else "has no worker"
        return Check(subject=subject, state="problem", found=found, next_step=start)
    return Check(subject=subject, state="ok", found=f"{len(online)} workers are online")


def _late_runs(client: SyncPrefectClient, name: str) -> Check:
    late = FlowRunFilter(state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Late"])))
    tags = DeploymentFilterTags(all_=[TAG, name])
    runs = client.read_flow_runs(
        flow_run_filter=late, deployment_filter=DeploymentFilter(tags=tags), limit=200
    )
    if not runs:
        return Check(subject="late runs", state="ok", found="none")
    return Check(
        subject="late runs",
        state="warning",
        found=f"{len(runs)} runs are due and nobody has begun them",
        next_step="start a worker, or raise the limit of its pool",
    )


def _notifications(client: SyncPrefectClient, name: str) -> Check:
    if client.read_automations_by_name(telling_name(name)):
        return Check(subject="notifications", state="ok", found="failures are told")
    return Check(
        subject="notifications",
        state="warning",
        found="nobody is told of a run that fails",
        next_step="distillery deploy with --notify, or with DISTILLERY_WEBHOOK_URL set",
    )
