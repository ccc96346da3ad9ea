"""Ctrl-C and SIGTERM end the command line at once, with one line.

The commit protocol makes it safe to end anywhere, so nothing is unwound: that could take as long as
the work that is interrupted. Child processes are in sessions of their own, or ignore both signals,
and end when this process is gone. A thread waits for the signals, because the main thread may be
inside a call of a library that takes minutes.
"""

import os
import select
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread, current_thread, main_thread
from types import FrameType
from typing import Final

from tasks.termination import has_saved, is_saving_first
from tasks.text.display import one_line

_STATUSES: Final = {signal.SIGINT: 130, signal.SIGTERM: 143}
"""Exit statuses: 128 and the number of the signal, as of a shell."""

_TIDY_LIMIT_S: Final = 1.0
_POLL_S: Final = 0.05
_STDERR: Final = 2


@dataclass(frozen=True)
class _Ongoing:
    """Work that is visible: what it is, such as `label 3/10 shards`, and how it leaves screens."""

    describe: Callable[[], str]
    tidy: Callable[[], None]


_ONGOING: Final[list[_Ongoing]] = []


@contextmanager
def ongoing(describe: Callable[[], str], tidy: Callable[[], None]) -> Iterator[None]:
    """Work that an interruption names, after which `tidy` leaves the screen in order.

    Both are called in another thread, while the work goes on.
    """
    work = _Ongoing(describe, tidy)
    _ONGOING.append(work)
    try:
        yield
    finally:
        _ONGOING.remove(work)


@contextmanager
def handled() -> Iterator[None]:
    """End this process on SIGINT with status 130 and on SIGTERM with 143, after one line.

    SIGTERM during a training first lets its step end and a checkpoint be saved. A second signal
    ends the process immediately. A signal that is ignored outside stays ignored. Does nothing
    outside the main thread, which alone can change how signals are handled.
    """
    if current_thread() is not main_thread():
        yield
        return
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    before = {number: signal.getsignal(number) for number in _STATUSES}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _left_to_the_thread)
    wakeup_before = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    thread = Thread(target=_watch, args=(read_end,), name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup_before)
        os.close(write_end)
        thread.join()  # for ever, if it is ending this process
        os.close(read_end)
        for number, handler in before.items():
            signal.signal(number, handler)


def _left_to_the_thread(number: int, frame: FrameType | None) -> None:
    """The interpreter writes a signal to the pipe only if it has a handler in Python."""


def _watch(read_end: int) -> None:
    """End the process on the first signal; return once the other end of the pipe is closed."""
    while received := os.read(read_end, 1):  # others have handlers too, such as time limits
        if (number := received[0]) in _STATUSES:
            _end_process(signal.Signals(number), read_end)


def _end_process(number: signal.Signals, read_end: int) -> None:
    if number == signal.SIGTERM:
        _wait(is_saving_first, read_end, None)
    tidying = Thread(target=_leave, args=(number,), daemon=True)
    tidying.start()
    _wait(tidying.is_alive, read_end, _TIDY_LIMIT_S)
    os._exit(_STATUSES[number])


def _wait(is_needed: Callable[[], bool], read_end: int, limit_s: float | None) -> None:
    """Wait while `is_needed()`, but not longer than until the next signal."""
    begun_at = time.monotonic()
    while is_needed() and (limit_s is None or time.monotonic() - begun_at < limit_s):
        if select.select([read_end], [], [], _POLL_S)[0]:
            received = os.read(read_end, 1)
            if received and received[0] in _STATUSES:
                return
            if not received:  # the main thread has left `handled` and waits for this end
                time.sleep(_POLL_S)


def _leave(number: signal.Signals) -> None:
    """Tidy the screen and say in one line what ends; this may wait for a lock of the screen."""
    what = ", ".join(text for one in _ONGOING if (text := one.describe()))
    for one in _ONGOING:
        one.tidy()
    words = ["interrupted" if number == signal.SIGINT else "stopped by SIGTERM"]
    words += [f"at {what}"] if what else []
    if number == signal.SIGTERM and not is_saving_first() and has_saved() is not None:
        words += ["after saving a checkpoint" if has_saved() else "without saving a checkpoint"]
    again = shlex.join(["distillery", *sys.argv[1:]])
    start = "\r" if os.isatty(_STDERR) else ""  # over the ^C that a terminal shows
    line = one_line(f"distillery: {' '.join(words)}; to continue: {again}")
    os.write(_STDERR, f"{start}{line}\n".encode(errors="backslashreplace"))
