"""Start, wait for and stop programs in tests."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

T = TypeVar("T")

_STOP_LIMIT_S = 60.0


def environment(**more: str) -> dict[str, str]:
    """This process's environment without its Prefect settings, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return {**kept, **more}


def free_port() -> int:
    """An unused port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(look: Callable[[], T], limit_s: float, what: str) -> T:
    """Poll `look` until its result is true and return it; connection errors count as false."""
    deadline = time.monotonic() + limit_s
    while True:
        with suppress(httpx.TransportError):
            if found := look():
                return found
        assert time.monotonic() < deadline, f"{what}: not within {limit_s:.0f} s"
        time.sleep(0.2)


def is_up(url: str) -> bool:
    """Whether a server responds with success."""
    return httpx.get(url).is_success


@contextmanager
def running(
    words: Sequence[str], settings: Mapping[str, str], log: Path, folder: Path | None = None
) -> Iterator[psutil.Popen]:
    """Run a program for the duration of the context, and stop it and its children afterwards."""
    with log.open("ab") as out:
        made = psutil.Popen(list(words), env=dict(settings), cwd=folder, stdout=out, stderr=out)
    try:
        yield made
    finally:
        kill(made, patiently=True)


def kill(started: psutil.Process, *, patiently: bool = False) -> None:
    """Kill a process and its children; with `patiently`, send SIGTERM first and wait."""
    with suppress(psutil.NoSuchProcess):
        below = started.children(recursive=True)
        if patiently:
            started.terminate()
            psutil.wait_procs([started], _STOP_LIMIT_S)
        for one in [started, *below]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs([started, *below], _STOP_LIMIT_S)


def at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each function returns, in a process of its own, all started at the same moment.

    Results pass as JSON; None stands for a process that failed. For programs without threads.
    """
    gate, opener = os.pipe()
    readers: list[int] = []
    for work in works:
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.close(opener)
            os.read(gate, 1)  # ends for all of them at once, when the other end is closed
            with os.fdopen(writer, "w") as out:
                json.dump(work(), out)
            os._exit(0)
        os.close(writer)
        readers.append(reader)
    os.close(gate)
    os.close(opener)
    found = []
    for reader in readers:
        with os.fdopen(reader) as answer:
            found.append(json.loads(answer.read() or "null"))
    for _ in works:
        os.wait()
    return found
