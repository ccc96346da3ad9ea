"""A Prefect API for the flows that this process runs itself."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from flows.server.local import prefect_api

_DRAIN_LIMIT_S: Final = 10.0


@contextmanager
def prefect_session(home: Path) -> Iterator[Callable[[], None]]:
    """A Prefect API for flows of this process; logs and events are delivered before it ends.

    Yields a function that waits until the API answers. `home` keeps the state of the server that
    is started where PREFECT_API_URL names none. Raises what `prefect_api` raises.
    """
    is_own = not os.environ.get("PREFECT_API_URL")
    with prefect_api(home) as wait_until_up:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogHandler
        from prefect.settings import (
            PREFECT_API_AUTH_STRING,
            PREFECT_API_URL,
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
            temporary_settings,
        )

        # Prefect keeps the address and the password of an earlier run in this process. Nothing on a
        # server that ends with the run reads heartbeats, and each flow would wait up to a second
        # for its last one.
        own = {
            PREFECT_API_URL: os.environ["PREFECT_API_URL"],
            PREFECT_API_AUTH_STRING: os.environ.get("PREFECT_API_AUTH_STRING"),
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        }
        with temporary_settings(updates=own if is_own else {}):
            try:
                yield wait_until_up
            finally:
                APILogHandler().flush()
                EventsWorker.drain_all(timeout=_DRAIN_LIMIT_S)
