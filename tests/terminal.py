"""Programs in a terminal of their own, where Ctrl-C can be pressed."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

CTRL_C = b"\x03"
_POLL_S = 0.02


def _take_the_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # tests that run in the background ignore it


class Terminal:
    """Runs a program as the foreground process group of a pseudo-terminal."""

    def __init__(self, words: Sequence[str], folder: Path, settings: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            list(words), cwd=folder, env=dict(settings), stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True, preexec_fn=_take_the_terminal,
        )  # fmt: skip
        os.close(theirs)
        self._shown = b""
        self._seen: dict[int, psutil.Process] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill what still runs."""
        self._look()
        for one in [self.process, *self._seen.values()]:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait()
        os.close(self._ours)

    @property
    def shown(self) -> str:
        """Everything that was written to the terminal."""
        return self._shown.decode(errors="replace")

    @property
    def end(self) -> str:
        """The end of that, for messages."""
        return self.shown[-2000:]

    @property
    def last_line(self) -> str:
        return self.shown.rstrip().splitlines()[-1]

    def press(self, key: bytes) -> None:
        os.write(self._ours, key)

    def wait_until(self, is_reached: Callable[[], bool], limit_s: float, what: str) -> None:
        """Wait while the program runs; everything it writes is read, and its children are noted."""
        deadline_s = time.monotonic() + limit_s
        while not is_reached():
            if self.process.poll() is not None:
                self._read()  # what it wrote before it ended
                assert is_reached(), f"it ended before {what}: {self.end}"
                return
            assert time.monotonic() < deadline_s, f"{what}: not within {limit_s:.0f} s"
            self._look()

    def wait(self, limit_s: float) -> int:
        """The exit status of the program, which must end within so many seconds."""
        deadline_s = time.monotonic() + limit_s
        while self.process.poll() is None:
            assert time.monotonic() < deadline_s, f"not ended within {limit_s} s: {self.end}"
            self._look()
        self._read()
        return self.process.returncode

    def survivors(self, limit_s: float = 10.0) -> list[str]:
        """Children that are still there when the program has ended for a while."""
        _, alive = psutil.wait_procs(list(self._seen.values()), limit_s)
        return [" ".join(one.cmdline()) for one in alive]

    def _look(self) -> None:
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                self._seen.setdefault(child.pid, child)
        self._read()
        time.sleep(_POLL_S)

    def _read(self) -> None:
        while select.select([self._ours], [], [], 0)[0]:
            try:
                self._shown += os.read(self._ours, 65_536)
            except OSError:  # all ends of the terminal are closed
                return
