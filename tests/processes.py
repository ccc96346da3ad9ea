"""Programs on loopback that a test starts, waits for and ends."""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import httpx
import psutil

T = TypeVar("T")

_STOP_LIMIT_S = 60.0


def environment(**more: str) -> dict[str, str]:
    """This process's environment without its Prefect settings, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**kept, **more}


def free_port() -> int:
    """A port on loopback that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(look: Callable[[], T], limit_s: float, what: str) -> T:
    """What `look` finds once that is true; a server that does not answer yet is asked again."""
    deadline = time.monotonic() + limit_s
    while True:
        with suppress(httpx.TransportError):
            if found := look():
                return found
        assert time.monotonic() < deadline, f"{what}: not within {limit_s:.0f} s"
        time.sleep(0.2)


def is_up(url: str) -> bool:
    """Whether a server answers."""
    return httpx.get(url).is_success


@contextmanager
def running(
    words: Sequence[str], settings: Mapping[str, str], log: Path, folder: Path | None = None
) -> Iterator[psutil.Popen]:
    """A program that runs as long as the context; what it started ends with it."""
    with log.open("ab") as out:
        made = psutil.Popen(list(words), env=dict(settings), cwd=folder, stdout=out, stderr=out)
    try:
        yield made
    finally:
        kill(made, patiently=True)


def kill(started: psutil.Process, *, patiently: bool = False) -> None:
    """End a process and all that it started: at once, or after it had time to end by itself."""
    with suppress(psutil.NoSuchProcess):
        below = started.children(recursive=True)
        if patiently:
            started.terminate()
            psutil.wait_procs([started], _STOP_LIMIT_S)
        for one in [started, *below]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs([started, *below], _STOP_LIMIT_S)
