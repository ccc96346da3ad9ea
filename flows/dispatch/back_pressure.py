"""Back-pressure of the Prefect server: tasks are not submitted faster than it records them."""

import time
from typing import Final

import httpx
from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import TERMINAL_STATES
from prefect.exceptions import PrefectHTTPStatusError
from prefect.runtime import flow_run

_MOST_UNRECORDED: Final = 1_000
_PATIENCE_S: Final = 30.0
_PAUSE_S: Final = 0.2


class BackPressure:
    """Holds a run back while too many of its tasks are missing on the server.

    The server learns about tasks from events, three for each, in a queue that drops new ones when
    it holds 10,000 (Prefect without Redis): rows lost there are never shown. A server that records
    nothing for half a minute is not waited for, because the receipts show what is done.
    """

    def __init__(self) -> None:
        self._num_submitted = 0
        self._num_recorded = 0
        self._num_before: int | None = None  # recorded by an earlier attempt of the same run

    def before_submit(self) -> None:
        """Wait until another task can be submitted without any being lost."""
        if flow_run.id is None:
            return
        if self._num_submitted == 0:
            with get_client(sync_client=True) as client:
                self._num_before = _num_ended(client)
        self._num_submitted += 1
        if self._num_submitted - self._num_recorded > _MOST_UNRECORDED:
            with get_client(sync_client=True) as client:
                self._wait(client)

    def _wait(self, client: SyncPrefectClient) -> None:
        last_change_s = time.monotonic()
        while time.monotonic() - last_change_s < _PATIENCE_S:
            recorded = (_num_ended(client) or 0) - (self._num_before or 0)
            if recorded > self._num_recorded:
                self._num_recorded, last_change_s = recorded, time.monotonic()
            if self._num_submitted - self._num_recorded <= _MOST_UNRECORDED // 2:
                return
            time.sleep(_PAUSE_S)
        get_run_logger().warning(
            "the server shows %d of %d tasks of this run; receipts show what is done",
            self._num_recorded,
            self._num_submitted,
        )
        self._num_recorded = self._num_submitted


def _num_ended(client: SyncPrefectClient) -> int | None:
    """How many tasks of this run and the runs below it have ended; None without an answer."""
    run = {"any_": [str(flow_run.id)]}
    wanted = {
        "flow_runs": {"operator": "or_", "id": run, "parent_flow_run_id": run},
        "task_runs": {"state": {"type": {"any_": sorted(TERMINAL_STATES)}}},
    }
    try:
        answer = client.request("POST", "/task_runs/count", json=wanted)
    except (httpx.HTTPError, PrefectHTTPStatusError):
        return None
    return int(answer.json())
