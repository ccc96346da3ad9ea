"""A private Prefect server for one run: loopback only, no telemetry, ends when the run does.

If PREFECT_API_URL names a server, that one is used instead. Prefect reads its settings when it is
imported, so they are put into the environment before anything imports it.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import uvicorn

from storage.errors import UserError

_STARTUP_LIMIT_S: Final = 120.0
_STOP_LIMIT_S: Final = 10.0
_SETTINGS: Final = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # the default, one row per transaction, costs the server four times as much CPU time
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
    # the command line shows progress and failures itself; Prefect's log goes to its server
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}


@contextmanager
def prefect_api(home: Path) -> Iterator[Callable[[], None]]:
    """Provide a Prefect API to this process: the server at PREFECT_API_URL, or a private one.

    Yields a function that blocks until the API answers, so that other work can be done while the
    server starts; it raises `UserError` if the server does not start. `home` is the folder for the
    state of a private server. That server ends with the context, and also when this process is
    killed, because it watches a pipe that only this process holds open.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if os.environ.get("PREFECT_API_URL"):
        yield lambda: None
        return
    os.environ.setdefault("PREFECT_HOME", str(home.absolute()))
    port = _free_port()
    url = f"http://127.0.0.1:{port}/api"
    os.environ["PREFECT_API_URL"] = url
    os.environ["PREFECT_SERVER_UI_API_URL"] = url
    home.mkdir(parents=True, exist_ok=True)
    log_path = home / "server.log"
    with log_path.open("ab") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.server.local", str(port)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
        try:
            yield lambda: _wait_until_up(server, url, log_path)
        finally:
            server.terminate()
            try:
                server.wait(_STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            del os.environ["PREFECT_API_URL"], os.environ["PREFECT_SERVER_UI_API_URL"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_up(server: subprocess.Popen[bytes], url: str, log_path: Path) -> None:
    deadline = time.monotonic() + _STARTUP_LIMIT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/health").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise UserError(
        f"the local Prefect server exited, or did not answer within {_STARTUP_LIMIT_S:.0f} s;"
        f" see {log_path}"
    )


def _exit_with_parent() -> None:
    """Exit when standard input reaches its end, which happens when the parent process is gone."""
    sys.stdin.buffer.read()
    os._exit(0)


def main(port: int) -> None:
    """Serve the Prefect API on loopback until the parent process is gone."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host="127.0.0.1",
        port=port,
        log_level="error",
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
