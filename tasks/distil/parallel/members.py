"""Starts the processes of a training on this machine, or joins those that torchrun started.

`accelerate launch` sets the same variables as torchrun.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import torch

from tasks.device_pool import DevicePool
from tasks.distil.parallel.processes import Processes, ProcessLostError, joined

Work = Callable[[int, int, str], None]
"""What a process does with its rank, the number of processes and the folder where they meet."""

_POLL_S: Final = 0.1
_LAST_WORDS_S: Final = 10.0
"""How long an error of this process waits for the error of another that caused it."""
_LOOPBACK: Final = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}


def is_follower() -> bool:
    """Whether this process trains along with another, which stores the student."""
    return is_launched() and os.environ["RANK"] != "0"


def is_launched() -> bool:
    """Whether torchrun or `accelerate launch` started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def num_on_this_machine(processes: Processes) -> int:
    """How many of the processes share this machine's disk."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if is_launched() else processes.size


@contextmanager
def launched(device: str) -> Iterator[tuple[Processes, torch.device]]:
    """Be one of several processes that torchrun or `accelerate launch` started."""
    own = torch.device(f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" else device)
    with joined(own) as processes:
        yield processes, own


@contextmanager
def started(devices: Sequence[str], work: Work) -> Iterator[tuple[Processes, torch.device]]:
    """A process for each device: this one for the first, others that do `work` for the rest.

    They end when the context is left or this process is killed. When one of them fails, its error
    is raised here in place of the `ProcessLostError` that follows from it.
    """
    size = len(devices)
    with ExitStack() as stack:
        meeting = stack.enter_context(TemporaryDirectory(prefix="distillery-training-"))
        pool = DevicePool(devices[1:], num_shares=size)
        threads = stack.enter_context(ThreadPoolExecutor(size - 1))
        stack.callback(pool.close)
        stack.enter_context(_share_of_cores(size))
        stack.enter_context(_on_loopback())
        others = [threads.submit(pool.run, work, rank, size, meeting) for rank in range(1, size)]
        try:
            _wait_for_all(Path(meeting), others)
            own = torch.device(devices[0])
            with met(own, meeting, 0, size) as processes:
                yield processes, own
        except ProcessLostError as error:
            raise _cause(others) or error from error


@contextmanager
def met(device: torch.device, meeting: str, rank: int, size: int) -> Iterator[Processes]:
    """Join the others in a folder that all can see."""
    (Path(meeting) / f"{rank}.ready").touch()
    # not as_uri(), since torch does not unquote it
    with joined(device, f"file://{meeting}/store", rank, size) as processes:
        yield processes


def _wait_for_all(meeting: Path, others: Sequence["Future[None]"]) -> None:
    """Wait until all others are ready to meet; raises what one of them raised instead."""
    while len(list(meeting.glob("*.ready"))) < len(others):
        for ended in wait(others, timeout=_POLL_S, return_when="FIRST_COMPLETED").done:
            ended.result()


def _cause(others: Sequence["Future[None]"]) -> BaseException | None:
    """The first error of another process, if it fails soon as well."""
    done = wait(others, timeout=_LAST_WORDS_S, return_when="FIRST_EXCEPTION").done
    return next((error for one in done if (error := one.exception()) is not None), None)


@contextmanager
def _share_of_cores(size: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // size))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let processes of this machine talk over loopback alone, unless the environment says."""
    added = [name for name in _LOOPBACK if name not in os.environ]
    os.environ |= {name: _LOOPBACK[name] for name in added}
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
