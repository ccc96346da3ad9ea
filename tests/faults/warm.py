"""Commands that start in a fraction of a second: forks of a process that has imported everything.

    python -m tests.faults.warm

reads one command a line from standard input, as JSON, forks, and answers with the process id; when
the command has ended it writes the id and the exit status. Each command leads a process group of
its own, and everything it starts carries a variable by which `survivors` finds it.
"""

import gc
import importlib
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any, NoReturn
from uuid import uuid4

import psutil

from tests.flows.running import COMMAND
from tests.processes import environment

TRACE = "DISTILLERY_TRIAL"
_MODULES = (
    "fastapi", "flows.commands.app", "flows.local_run", "flows.pipeline", "flows.stages",
    "miniaudio", "pandas", "s3fs", "tasks.distil.make", "tasks.distil.train",
    "tasks.evaluate.shard", "torch", "transformers",
)  # fmt: skip
_SETTINGS = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "OMP_WAIT_POLICY": "PASSIVE",
    # ten runs may use the one server, whose SQLite then answers 503 for a while
    "PREFECT_CLIENT_MAX_RETRIES": "20",
}
"""The first two are what `distillery run` sets before it imports Prefect and torch."""
_LIMIT_S = 300.0


@dataclass
class Started:
    """A running command."""

    pid: int
    trace: str
    log: Path
    ended: "Queue[int]" = field(default_factory=Queue)
    status: int | None = None

    def wait(self, limit_s: float = _LIMIT_S) -> int:
        """The exit status, negative for a signal, as of `subprocess`."""
        if self.status is None:
            self.status = self.ended.get(timeout=limit_s)
        return self.status

    @property
    def is_running(self) -> bool:
        return self.status is None and self.ended.empty()

    def kill(self, *, group: bool) -> None:
        """SIGKILL to the process, or to all of its group, which it leads."""
        os.killpg(self.pid, signal.SIGKILL) if group else os.kill(self.pid, signal.SIGKILL)

    def survivors(self) -> list[psutil.Process]:
        """The living processes of its session, and those that inherited its trace."""
        return [one for one in psutil.process_iter() if self._started(one)]

    def _started(self, process: psutil.Process) -> bool:
        try:
            variables = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            is_ours = f"{TRACE}={self.trace}".encode() in variables
            is_ours |= os.getsid(process.pid) == self.pid
            return is_ours and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, psutil.NoSuchProcess):
            return False


class WarmRuns:
    """Starts commands by way of one warm process."""

    def __init__(self, server: "subprocess.Popen[str]") -> None:
        self._server = server
        self._pids: Queue[int] = Queue()
        self._running: dict[int, Queue[int]] = {}
        self._early: dict[int, int] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def start(
        self, folder: Path, words: Sequence[str], variables: Mapping[str, str] | None = None
    ) -> Started:
        """Run `distillery WORDS` in `folder`; what it prints goes to a log there."""
        trace, log = uuid4().hex, folder / f"log-{uuid4().hex[:8]}"
        command = {
            "folder": str(folder), "words": list(words), "log": str(log),
            "variables": {**(variables or {}), TRACE: trace},
        }  # fmt: skip
        with self._lock:
            assert self._server.stdin is not None
            self._server.stdin.write(json.dumps(command) + "\n")
            self._server.stdin.flush()
            started = Started(self._pids.get(timeout=_LIMIT_S), trace, log)
            self._running[started.pid] = started.ended
            if started.pid in self._early:
                started.ended.put(self._early.pop(started.pid))
        return started

    def _listen(self) -> None:
        assert self._server.stdout is not None
        for line in self._server.stdout:
            pid, status = json.loads(line)
            if status is None:
                self._pids.put(pid)
            elif pid in self._running:
                self._running.pop(pid).put(status)
            else:
                self._early[pid] = status


def start_cold(folder: Path, words: Sequence[str], variables: Mapping[str, str]) -> Started:
    """Run `distillery WORDS` as a user does, with a Prefect server of its own."""
    trace, log = uuid4().hex, folder / f"log-{uuid4().hex[:8]}"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(COMMAND), *words], cwd=folder, env=environment(**variables, **{TRACE: trace}),
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    started = Started(process.pid, trace, log)
    threading.Thread(target=lambda: started.ended.put(process.wait()), daemon=True).start()
    return started


@contextmanager
def warm_runs(variables: Mapping[str, str]) -> Iterator[WarmRuns]:
    """Run the warm process; `variables` name the Prefect server."""
    command = [sys.executable, "-m", __spec__.name]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root,
        env=environment(**_SETTINGS, **variables),
    ) as server:  # fmt: skip
        yield WarmRuns(server)
        assert server.stdin is not None
        server.stdin.close()


def main() -> None:
    """Fork a process for each command; without threads, which a fork would lose."""
    for name in _MODULES:
        importlib.import_module(name)
    assert threading.active_count() == 1, threading.enumerate()
    gc.freeze()
    with selectors.DefaultSelector() as events:
        events.register(0, selectors.EVENT_READ)
        while True:
            for key, _ in events.select():
                if key.fd != 0:
                    events.unregister(key.fd)
                    os.close(key.fd)
                    _answer(key.data, os.waitstatus_to_exitcode(os.waitpid(key.data, 0)[1]))
                elif line := sys.stdin.buffer.raw.readline():
                    pid = os.fork() or _run(json.loads(line))
                    events.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
                    _answer(pid, None)
                else:
                    return


def _answer(pid: int, status: int | None) -> None:
    sys.stdout.write(json.dumps([pid, status]) + "\n")
    sys.stdout.flush()


def _run(command: Mapping[str, Any]) -> NoReturn:
    """Run a command in this process, which is a fork, and end it."""
    os.setsid()
    os.chdir(command["folder"])
    os.environ |= command["variables"]
    log = os.open(command["log"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for target, source in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
        os.dup2(source, target)
    sys.argv = ["distillery", *command["words"]]
    status = 1
    try:
        importlib.import_module("flows.commands.app").main()
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        if (error := sys.exception()) is not None:
            traceback.print_exception(error)
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
