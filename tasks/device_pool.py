"""One process a device: each loads its model once, reads ahead for itself and makes shard by shard.

Knows devices and processes; knows no shard. A function of a module, its arguments and its result
are all that crosses to another process.
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
from contextlib import suppress
from itertools import pairwise
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar

from storage import errors
from storage.errors import DistilleryError, ShardError, TransientError

P = ParamSpec("P")
R = TypeVar("R")

_SPAWN: Final = multiprocessing.get_context("spawn")  # a fork of a process with CUDA is broken
_POLL_S: Final = 0.5
_VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_THREADS: Final = "OMP_NUM_THREADS"


class DevicePool:
    """Runs one function a device at a time, each in the process of a free device.

    A device is `cpu` or `cuda:0`, counted as this process counts them; the function sees no other
    GPU. Processes start when they are first needed and end with the pool or with this process,
    however that ends.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        self._free: SimpleQueue[_Worker] = SimpleQueue()
        self._workers = [_Worker(device, len(devices)) for device in devices]
        for worker in self._workers:
            self._free.put(worker)

    def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What `work` returns on the next device that is free; waits for one.

        Errors of Python and of Distillery come back as they are, with their causes; of any other
        the name and first line, as a `ShardError`. Raises `TransientError` when the process was
        killed; the next call has a new one.
        """
        worker = self._free.get()
        try:
            result: R = worker.run(work, args, kwargs)
        finally:
            self._free.put(worker)
        return result

    def close(self) -> None:
        """End all processes, and with them what is at work in them."""
        for worker in self._workers:
            worker.end()


@functools.cache
def device_pool(devices: tuple[str, ...]) -> DevicePool:
    """The pool of these devices, one for all stages and corpora of this process."""
    return DevicePool(devices)


class _Worker:
    """A device and its process, where there is one."""

    def __init__(self, device: str, num_devices: int) -> None:
        self._device = device
        self._num_devices = num_devices
        self._process: Any = None
        self._connection: Connection | None = None

    def run(self, work: Callable[..., R], args: Sequence[Any], kwargs: dict[str, Any]) -> R:
        connection = self._started()
        is_answered = False
        try:
            connection.send((work, args, kwargs))
            result, chain = self._answer(connection)
            is_answered = True
        except (EOFError, ConnectionError) as error:
            self._process.join()
            raise TransientError(
                f"the process that worked on {self._device} was ended from outside (exit code"
                f" {self._process.exitcode}); see whether memory was short, and run again"
            ) from error
        finally:
            if not is_answered:
                self.end()  # it may be at work on what nobody waits for any more
        if chain:
            raise _linked(chain)
        answer: R = result
        return answer

    def _answer(self, connection: Connection) -> tuple[Any, list[BaseException]]:
        while True:
            # in short waits, so that the time limit of a task can end this
            while not wait([connection, self._process.sentinel], timeout=_POLL_S):
                pass
            message = connection.recv()
            if not isinstance(message, logging.LogRecord):
                result, chain = message
                return result, chain
            logging.getLogger(message.name).handle(message)

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _started(self) -> Connection:
        if self._connection is not None and self._process.is_alive():
            return self._connection
        self.end()
        here, there = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=_serve,
            args=(there, self._device, self._num_devices),
            name=f"on {self._device}",
            daemon=True,
        )
        self._process.start()
        there.close()  # so that its end is the end of the connection
        self._connection = here
        return here


class _Wire:
    """The way back: one message at a time, answers and what was logged meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def put_nowait(self, message: object) -> None:
        """What a `QueueHandler` asks of a queue."""
        with self._lock:
            self._connection.send(message)


def _serve(connection: Connection, device: str, num_devices: int) -> None:
    """The life of a process: bound to a device, then one call after the other."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear
    _bind(device, num_devices)
    wire: Any = _Wire(connection)  # as much of a queue as the handler needs
    logging.getLogger().addHandler(QueueHandler(wire))
    with ThreadPoolExecutor(1, "work") as thread, suppress(EOFError):
        while True:
            work, args, kwargs = connection.recv()
            made = thread.submit(work, *args, **kwargs)
            error = made.exception()
            result = made.result() if error is None else None
            wire.put_nowait((result, [_portable(one) for one in _chain(error)]))


def _bind(device: str, num_devices: int) -> None:
    """Before torch is imported, so that it sees this device alone, and shares the cores."""
    name, _, number = device.partition(":")
    visible = [one for one in os.environ.get(_VISIBLE, "").split(",") if one]
    if name == "cpu":
        os.environ[_VISIBLE] = ""
    else:
        os.environ[_VISIBLE] = visible[int(number)] if int(number) < len(visible) else number
    os.environ.setdefault(_THREADS, str(max(1, (os.cpu_count() or 1) // num_devices)))


def _end_with_parent() -> None:
    """A process whose parent is killed would wait for its next call for ever."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
    os._exit(1)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _portable(error: BaseException) -> BaseException:
    """The error itself where any process can read it; a traceback goes along as a note."""
    is_ours = isinstance(error, DistilleryError)
    if not is_ours:
        error.add_note("".join(traceback.format_exception(error, chain=False)))
    if type(error).__module__ in ("builtins", errors.__name__):
        return error
    lines = str(error).strip().splitlines() or ["no message"]
    told = ShardError(lines[0] if is_ours else f"{type(error).__name__}: {lines[0]}")
    for note in getattr(error, "__notes__", ()):
        told.add_note(note)
    return told


def _linked(chain: Sequence[BaseException]) -> BaseException:
    for error, cause in pairwise(chain):
        error.__cause__ = cause
    return chain[0]
