"""Checks of the Prefect server, its work pools and its workers for a configuration."""

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
from flows.server.automations import failure_automation_name
from flows.server.deploy import prefect_client
from flows.server.deployments import TAG, Deployed, deployments_of
from storage.errors import without_secrets


def server_checks(config: str, settings: RunConfig) -> Iterator[Check]:
    """Check the server, deployments, work pools, workers, late runs and notifications.

    Raises `UserError` if the server cannot be reached or rejects the password.
    """
    with prefect_client() as client:
        url = without_secrets(os.environ["PREFECT_API_URL"])
        yield Check(subject="server", state="ok", found=f"{url} answers and accepts the password")
        expected = deployments_of(config, settings, None)
        yield _deployments(client, config, settings.publish.name, expected)
        for pool in dict.fromkeys(one.pool for one in expected):
            yield _pool(client, pool)
        yield _late_runs(client, settings.publish.name)
        yield _notifications(client, settings.publish.name)


def _deployments(
    client: SyncPrefectClient, config: str, name: str, expected: list[Deployed]
) -> Check:
    tags = DeploymentFilterTags(all_=[TAG, name])
    registered = client.read_deployments(deployment_filter=DeploymentFilter(tags=tags), limit=200)
    num_missing = len(expected) - len(registered)
    if num_missing > 0:
        return Check(
            subject="deployments",
            state="problem",
            found=f"{num_missing} of {len(expected)} deployments of {name} are missing",
            next_step=f"distillery deploy {config}",
        )
    is_scheduled = any(one.active for deployment in registered for one in deployment.schedules)
    when = "on a schedule" if is_scheduled else "only on request"
    return Check(
        subject="deployments",
        state="ok",
        found=f"all of {name} are registered; the pipeline runs {when}",
    )


def _pool(client: SyncPrefectClient, name: str) -> Check:
    """Whether a pool can execute runs: it exists, is not paused, and has a worker online."""
    subject = f"pool {name}"
    start = f"prefect worker start --pool {name}"
    try:
        pool = client.read_work_pool(name)
    except ObjectNotFound:
        return Check(
            subject=subject, state="problem", found="does not exist", next_step="distillery deploy"
        )
    workers = client.read_workers_for_work_pool(name)
    online = [worker.name for worker in workers if worker.status == WorkerStatus.ONLINE]
    if pool.is_paused:
        return Check(
            subject=subject,
            state="problem",
            found="is paused; its runs wait",
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
        found=f"{len(runs)} runs are overdue and no worker has started them",
        next_step="start a worker, or raise the limit of its pool",
    )


def _notifications(client: SyncPrefectClient, name: str) -> Check:
    if client.read_automations_by_name(failure_automation_name(name)):
        return Check(subject="notifications", state="ok", found="failures are reported")
    return Check(
        subject="notifications",
        state="warning",
        found="failed runs are not reported to anybody",
        next_step="distillery deploy with --notify, or with DISTILLERY_WEBHOOK_URL set",
    )
