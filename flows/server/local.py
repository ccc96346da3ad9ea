"""A private Prefect server for one run: loopback only, no telemetry, ends when the run does.

If PREFECT_API_URL names a server, that one is used instead. Prefect reads its settings when it is
imported, so they are put into the environment before anything imports it.
"""

import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import uvicorn

from storage.errors import UserError
from storage.private import open_private, private_folder

LOGIN: Final = "login"
"""The file with the address and the password of the server that is running."""

_USER: Final = "distillery"
_STARTUP_LIMIT_S: Final = 120.0
_STOP_LIMIT_S: Final = 10.0
_PRIVATE_UMASK: Final = 0o077
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
    state of a private server, which only this user can read; raises `UserError` where it cannot be
    private. That server has a new password each time, which stands in the environment and in the
    file `LOGIN` in `home`. It ends with the context, and also when this process is killed, because
    it watches a pipe that only this process holds open.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if os.environ.get("PREFECT_API_URL"):
        yield lambda: None
        return
    home = home.absolute()
    private_folder(home, otherwise="run in another folder")
    os.environ.setdefault("PREFECT_HOME", str(home))
    log_path = home / "server.log"
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # here, so that no other program can take the port meanwhile
        address = f"http://127.0.0.1:{bound.getsockname()[1]}"
        login = f"{_USER}:{secrets.token_urlsafe(32)}"
        variables = {"PREFECT_API_URL": f"{address}/api", "PREFECT_API_AUTH_STRING": login}
        with open_private(log_path) as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "flows.server.local", str(bound.fileno())],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, **variables, **_server_settings(home, address, login)},
                pass_fds=[bound.fileno()],
                start_new_session=True,  # Ctrl-C is for this process, which still needs the server
            )
    try:
        with _variables(variables), _login_shown(home / LOGIN, f"{address}\n{login}\n"):
            yield lambda: _wait_until_up(server, f"{address}/api", log_path)
    finally:
        server.terminate()
        try:
            server.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _server_settings(home: Path, address: str, login: str) -> Mapping[str, str]:
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_API_AUTH_STRING": login,
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": address,  # any origin by default
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",
    }


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, and restore them afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _login_shown(path: Path, text: str) -> Iterator[None]:
    """A file to log in with, for as long as it is of use; of several runs the last one's."""
    path.unlink(missing_ok=True)
    with open_private(path) as file:
        file.write(text.encode())
    try:
        yield
    finally:
        if path.is_file() and path.read_text() == text:
            path.unlink(missing_ok=True)


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


def main(bound: int) -> None:
    """Serve the Prefect API on a socket that is bound, until the parent process is gone."""
    os.umask(_PRIVATE_UMASK)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    settings = uvicorn.Config(
        "prefect.server.api.server:create_app", factory=True, log_level="error"
    )
    uvicorn.Server(settings).run(sockets=[socket.socket(fileno=bound)])


if __name__ == "__main__":
    main(int(sys.argv[1]))
