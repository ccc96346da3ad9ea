"""A pool with one process per device, so that each process loads a model only once.

Knows devices and processes, not shards. Only a module-level function, its arguments and its result
cross the process boundary.
"""

import functools
import logging
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import pairwise
from logging.handlers import QueueHandler
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar

from storage import errors
from storage.errors import DistilleryError, ShardError, TransientError

P = ParamSpec("P")
R = TypeVar("R")

_SPAWN: Final = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
_POLL_S: Final = 0.5
_TERMINATED: Final = 143
_VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_THREADS: Final = "OMP_NUM_THREADS"


class DevicePool:
    """Runs one call per device at a time, each in the process that belongs to the device.

    A device is `cpu` or a CUDA device such as `cuda:0`, numbered as in this process; the called
    function sees no other GPU. Processes start on first use. They end when the pool is closed or
    when this process ends, even by SIGKILL. Each has its share of the cores, one of `num_shares`;
    None: as many as devices.
    """

    def __init__(self, devices: Sequence[str], num_shares: int | None = None) -> None:
        self._free: SimpleQueue[_Worker] = SimpleQueue()
        self._workers = [_Worker(device, num_shares or len(devices)) for device in devices]
        for worker in self._workers:
            self._free.put(worker)

    def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `work` on the next free device and return its result; blocks until one is free.

        Built-in exceptions and those of `storage.errors` are raised here unchanged, with their
        causes. Any other becomes a `ShardError` with its type and the first line of its message.
        Raises `TransientError` if the process is killed; the next call starts a new one.
        """
        worker = self._free.get()
        try:
            result: R = worker.run(work, args, kwargs)
        finally:
            self._free.put(worker)
        return result

    def close(self) -> None:
        """Kill all processes and the calls that are running in them."""
        for worker in self._workers:
            worker.end()


@functools.cache
def device_pool(devices: tuple[str, ...]) -> DevicePool:
    """The pool for these devices, shared by all stages and corpora of this process."""
    return DevicePool(devices)


class _Worker:
    """A device and its process, if one is running."""

    def __init__(self, device: str, num_shares: int) -> None:
        self._device = device
        self._num_shares = num_shares
        self._process: Any = None
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def run(self, work: Callable[..., R], args: Sequence[Any], kwargs: dict[str, Any]) -> R:
        connection = self._ensure_started()
        process = self._process  # another thread may end it
        is_finished = False
        try:
            connection.send((work, args, kwargs))
            result, errors_raised = self._receive_result(connection, process)
            is_finished = True
        except (EOFError, ConnectionError) as error:
            process.join()
            raise TransientError(
                f"the process for {self._device} was killed (exit code {process.exitcode});"
                " check whether the machine ran out of memory, then run again"
            ) from error
        finally:
            if not is_finished:
                self.end()  # it may still be busy with a call that nobody waits for
        if errors_raised:
            raise _with_causes(errors_raised)
        typed_result: R = result
        return typed_result

    def _receive_result(
        self, connection: Connection, process: Any
    ) -> tuple[Any, list[BaseException]]:
        while True:
            # short waits, so that a task's time limit can interrupt this thread
            while not wait([connection, process.sentinel], timeout=_POLL_S):
                pass
            message = connection.recv()
            if not isinstance(message, logging.LogRecord):
                result, errors_raised = message
                return result, errors_raised
            logging.getLogger(message.name).handle(message)

    def end(self) -> None:
        with self._lock:
            process, connection = self._process, self._connection
            self._process = self._connection = None
        if process is not None:
            process.kill()
            process.join()
        if connection is not None:
            connection.close()

    def _ensure_started(self) -> Connection:
        if self._connection is not None and self._process.is_alive():
            return self._connection
        self.end()
        ours, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=_serve,
            args=(theirs, self._device, self._num_shares),
            name=f"on {self._device}",
            daemon=True,
        )
        with _interrupts_blocked():
            self._process.start()
        theirs.close()  # otherwise the connection would outlive the process
        self._connection = ours
        return ours


class _Outbox:
    """Sends results and log records to the parent, one message at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def put_nowait(self, message: object) -> None:
        """The one method of a queue that `QueueHandler` calls."""
        with self._lock:
            self._connection.send(message)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in processes that are started inside.

    The terminal sends Ctrl-C to them too, but the parent handles it, and they end with the parent.
    It is blocked from the start, before the process could ignore it itself.
    """
    resource_tracker.ensure_running()  # its start would unblock it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, device: str, num_shares: int) -> None:
    """Main function of a process: bind it to the device, then execute calls until the pipe ends.

    During a call SIGTERM is left to the parent, which may have to save what they do together.
    """
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    _bind(device, num_shares)
    is_busy = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: None if is_busy.is_set() else os._exit(_TERMINATED))
    outbox: Any = _Outbox(connection)  # QueueHandler is typed for a whole queue
    logging.getLogger().addHandler(QueueHandler(outbox))
    with ThreadPoolExecutor(1, "work") as thread, suppress(EOFError):
        while True:
            work, args, kwargs = connection.recv()
            is_busy.set()
            future = thread.submit(work, *args, **kwargs)
            error = future.exception()
            result = future.result() if error is None else None
            outbox.put_nowait((result, [_portable(one) for one in _causes(error)]))
            is_busy.clear()


def _bind(device: str, num_shares: int) -> None:
    """Limit this process to one GPU and its share of the cores; call before importing torch."""
    name, _, number = device.partition(":")
    visible = [one for one in os.environ.get(_VISIBLE, "").split(",") if one]
    if name == "cpu":
        os.environ[_VISIBLE] = ""
    else:
        os.environ[_VISIBLE] = visible[int(number)] if int(number) < len(visible) else number
    os.environ.setdefault(_THREADS, str(max(1, (os.cpu_count() or 1) // num_shares)))


def _exit_with_parent() -> None:
    """Exit when the parent is killed; this process would wait for its next call forever."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
    os._exit(1)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error itself, its cause, the cause of that, and so on."""
    while error is not None:
        yield error
        error = error.__cause__


def _portable(error: BaseException) -> BaseException:
    """An error that the parent can unpickle; the traceback of an unexpected one becomes a note."""
    is_ours = isinstance(error, DistilleryError)
    if not is_ours:
        error.add_note("".join(traceback.format_exception(error, chain=False)))
    if type(error).__module__ in ("builtins", errors.__name__):
        return error
    lines = str(error).strip().splitlines() or ["no message"]
    replacement = ShardError(lines[0] if is_ours else f"{type(error).__name__}: {lines[0]}")
    for note in getattr(error, "__notes__", ()):
        replacement.add_note(note)
    return replacement


def _with_causes(errors_raised: Sequence[BaseException]) -> BaseException:
    """The first error, with the causes that pickling dropped restored from the others."""
    for error, cause in pairwise(errors_raised):
        error.__cause__ = cause
    return errors_raised[0]
