"""Automations of the Prefect server: notify about failed runs, mark orphaned runs as crashed."""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import (
    ActionTypes,
    CallWebhook,
    ChangeFlowRunState,
    SendNotification,
)
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from storage.errors import UserError

WEBHOOK_URL: Final = "DISTILLERY_WEBHOOK_URL"
"""Environment variable with a secret webhook URL; failures are sent as a POST of `{"text": …}`."""

_WEBHOOK: Final = "webhook"
_BLOCK: Final = "distillery-failures"
_SUBJECT: Final = "Distillery: {{ flow_run.name }} {{ flow_run.state.name | lower }}"
_BODY: Final = (
    "{{ flow_run.state.message }}\n"
    "To redo a shard: run the deployment rerun-shard/{{ deployment.name }} in the UI, or"
    " `distillery rerun {{ flow_run.parameters.config }} STAGE CORPUS/SPLIT/SHARD`; then retry the"
    " run {{ flow_run.name }} ({{ flow_run.id }}){% if flow_run|ui_url %}: {{ flow_run|ui_url }}"
    "{% endif %}"
)
_ENDED: Final = ("Completed", "Failed", "Cancelled", "Crashed")
_TRIGGER_FIELDS: Final = {
    "match": True,
    "match_related": True,
    "after": True,
    "expect": True,
    "for_each": True,
    "posture": True,
    "threshold": True,
    "within": True,
}
_MAX_SILENCE: Final = timedelta(seconds=150)
"""Heartbeats come every 30 s; a run that is retried soon after it failed must not be overtaken."""


def register_automations(
    client: SyncPrefectClient, name: str, deployments: Sequence[UUID], notify: str | None
) -> None:
    """Create or update the automations for the runs of these deployments.

    `notify` names a block on the server, such as `slack-webhook/night`. Without it, failures are
    sent to the webhook in DISTILLERY_WEBHOOK_URL; if that is unset too, nobody is notified. Raises
    `UserError` if the block does not exist.
    """
    _register(client, _crash_silent_runs())
    if notify is None and (url := os.environ.get(WEBHOOK_URL)):
        Webhook.model_validate({"url": url}).save(_BLOCK, overwrite=True)
        notify = f"{_WEBHOOK}/{_BLOCK}"
    if notify is not None:
        _register(client, _failure_automation(name, deployments, _notification(client, notify)))


def failure_automation_name(name: str) -> str:
    """Name of the automation that reports failures of the deployments called `name`."""
    return f"distillery {name}: report failures"


def _register(client: SyncPrefectClient, wanted: AutomationCore) -> None:
    """Create an automation, or update it if it differs.

    An unchanged one is left alone, because an update makes the server forget the events that it
    has seen, such as the last heartbeat of a run.
    """
    known = client.read_automations_by_name(wanted.name)
    if not known:
        client.create_automation(wanted)
    elif _content(known[0]) != _content(wanted):
        client.update_automation(known[0].id, wanted)


def _content(automation: AutomationCore) -> dict[str, Any]:
    """What an automation does, without its server-assigned ids and its on/off switch."""
    return automation.model_dump(
        include={"description": True, "trigger": _TRIGGER_FIELDS, "actions": True}
    )


def _failure_automation(
    name: str, deployments: Sequence[UUID], action: ActionTypes
) -> AutomationCore:
    resources = [f"prefect.deployment.{deployment}" for deployment in deployments]
    return AutomationCore(
        name=failure_automation_name(name),
        description="Reports the shards that failed, and the command that redoes each.",
        enabled=True,
        trigger=EventTrigger(
            expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification(
                {"prefect.resource.role": "deployment", "prefect.resource.id": resources}
            ),
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[action],
    )


def _notification(client: SyncPrefectClient, notify: str) -> ActionTypes:
    kind, _, name = notify.partition("/")
    try:
        block = client.read_block_document_by_name(name, kind)
    except ObjectNotFound as error:
        raise UserError(
            f"the server has no block {notify!r}; create it in the UI and pass it as"
            " type/name, such as slack-webhook/night"
        ) from error
    if kind == _WEBHOOK:
        text = f"{{% set text %}}{_SUBJECT}\n{_BODY}{{% endset %}}"
        payload = f'{text}{{"text": {{{{ text | tojson }}}} }}'
        return CallWebhook(block_document_id=block.id, payload=payload)
    return SendNotification(block_document_id=block.id, subject=_SUBJECT, body=_BODY)


def _crash_silent_runs() -> AutomationCore:
    """Mark a run as crashed when its heartbeat stops: its worker is gone, so it is not running."""
    heartbeat = "prefect.flow-run.heartbeat"
    return AutomationCore(
        name="distillery: crash runs without a heartbeat",
        description="The worker is gone; retry the run, or wait for the next one.",
        enabled=True,
        trigger=EventTrigger(
            after={heartbeat},
            expect={heartbeat, *(f"prefect.flow-run.{state}" for state in _ENDED)},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=_MAX_SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, message="heartbeat lost: the worker is gone"
            )
        ],
    )
