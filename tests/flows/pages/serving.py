"""Serves an application in a thread of the test, as a command does in a process of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp

from flows.pages.server import address, listen, server


@contextmanager
def serving(app: ASGIApp, token: str) -> Iterator[str]:
    """Serve on a free port for as long as the context lasts; the URL of the page."""
    with listen(0) as listening:
        running = server(app)
        thread = threading.Thread(target=running.run, args=([listening],))
        thread.start()
        try:
            yield address(listening, token)
        finally:
            running.should_exit = running.force_exit = True
            thread.join()
