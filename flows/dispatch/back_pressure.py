"""Back-pressure of the Prefect server: tasks are not submitted faster than it records them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx
from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import TERMINAL_STATES
from prefect.exceptions import PrefectHTTPStatusError
from prefect.runtime import flow_run

_FEW: Final = 100
_PATIENCE_S: Final = 30.0
_PAUSE_S: Final = 0.2


@contextmanager
def recorded(num_tasks: int) -> Iterator[None]:
    """Leave only once the server shows the end of the `num_tasks` tasks that are run inside.

    It learns of tasks by events, three of each, from a queue that drops what comes when it holds
    10,000 (Prefect 3.8 without Redis): rows that are lost there are never shown. A few tasks are
    not waited for, nor is a server that shows no more of them within half a minute: receipts tell
    what is done.
    """
    if num_tasks <= _FEW:
        yield
        return
    with get_client(sync_client=True) as client:
        wanted = (_num_ended(client) or 0) + num_tasks
        try:
            yield
        except Exception:  # of shards that failed; who stops the run is not kept waiting
            _wait_until(client, wanted)
            raise
        _wait_until(client, wanted)


def _wait_until(client: SyncPrefectClient, wanted: int) -> None:
    shown, seen_s = 0, time.monotonic()
    while time.monotonic() - seen_s < _PATIENCE_S:
        found = _num_ended(client)
        if found is not None and found >= wanted:
            return
        if found is not None and found > shown:
            shown, seen_s = found, time.monotonic()
        time.sleep(_PAUSE_S)
    get_run_logger().warning(
        "the server shows the end of %d tasks of this flow run and no more than that, of %d;"
        " the receipts tell what is done",
        shown,
        wanted,
    )


def _num_ended(client: SyncPrefectClient) -> int | None:
    """How many tasks of this flow run the server shows as ended; None while it does not answer."""
    wanted = {
        "flow_runs": {"id": {"any_": [str(flow_run.id)]}},
        "task_runs": {"state": {"type": {"any_": sorted(TERMINAL_STATES)}}},
    }
    try:
        answer = client.request("POST", "/task_runs/count", json=wanted)
    except (httpx.HTTPError, PrefectHTTPStatusError):
        return None
    return int(answer.json())
