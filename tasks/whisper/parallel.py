"""Several batch schedulers on the cores of a CPU, each with a thread and windows of its own.

The matrix products of one decoding step are too small to split: synchronising the cores takes
longer than the work. Whole schedulers share nothing but the weights. Windows are dealt to
schedulers by their order alone, never by speed, so that results are reproducible to the last bit.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Final

import torch

from tasks.whisper.decoding.slots import Hypothesis
from tasks.whisper.scheduler import BatchScheduler, QueuedWindow

_MIN_SLOTS: Final = 8
_NUM_FINAL_BATCHES: Final = 4


def num_schedulers(num_slots: int, device: torch.device) -> int:
    """How many schedulers share the slots: one per core, with at least 8 slots each."""
    if device.type != "cpu":
        return 1
    return max(1, min(torch.get_num_threads(), num_slots // _MIN_SLOTS))


@dataclass(frozen=True, slots=True)
class Progress:
    """Windows that a scheduler finished; `out_of_memory` is the error message if it ran out."""

    ended: Sequence[tuple[QueuedWindow, Hypothesis]]
    out_of_memory: str | None = None


AdvanceAll = Callable[
    [Sequence[tuple[BatchScheduler, Sequence[QueuedWindow]]], bool], list[Progress]
]
"""Gives each scheduler its windows and waits for all; the flag says that no more windows follow."""


@contextmanager
def parallel_schedulers(count: int) -> Iterator[AdvanceAll]:
    """Provide a thread per scheduler, and divide the threads of torch among them."""
    if count == 1:
        yield lambda assigned, is_last: [
            _advance(scheduler, windows, is_last) for scheduler, windows in assigned
        ]
        return
    num_threads = torch.get_num_threads()
    share = max(1, num_threads // count)
    with ThreadPoolExecutor(
        count, "scheduler", initializer=torch.set_num_threads, initargs=(share,)
    ) as pool:
        try:
            yield lambda assigned, is_last: list(
                pool.map(_advance, *zip(*assigned, strict=True), repeat(is_last))
            )
        finally:
            # set_num_threads in a worker also changes the default of threads created later
            torch.set_num_threads(num_threads)


def _advance(scheduler: BatchScheduler, windows: Sequence[QueuedWindow], is_last: bool) -> Progress:
    """Advance until the scheduler can use more windows."""
    ended: list[tuple[QueuedWindow, Hypothesis]] = []
    try:
        ended += scheduler.advance(windows)
        # at the end of the stream return in a few batches: retries must not wait for the slowest
        batch_size = len(scheduler.unfinished) // _NUM_FINAL_BATCHES if is_last else 0
        while scheduler.unfinished and (not scheduler.num_wanted or len(ended) < batch_size):
            ended += scheduler.advance(())
    except torch.OutOfMemoryError as error:
        return Progress(ended, str(error))
    return Progress(ended)
