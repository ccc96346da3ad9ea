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
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        # Nothing on a server that ends with the run reads heartbeats, and each flow would wait up
        # to a second for its last one.
        no_heartbeats = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None} if is_own else {}
        with temporary_settings(updates=no_heartbeats):
            try:
                yield wait_until_up
            finally:
                APILogHandler().flush()
                EventsWorker.drain_all(timeout=_DRAIN_LIMIT_S)
