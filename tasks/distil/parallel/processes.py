"""Processes that train a student together.

All have the same weights and take the same steps. Each takes its share of the windows of a batch;
losses and gradients are added up, so a batch is the same for any number of processes. The first
process validates and stores checkpoints.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from typing import Final, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from storage.errors import IntegrityError, TransientError

T = TypeVar("T")

_TIMEOUT: Final = timedelta(hours=6)
"""The others wait while the first validates; what ends in between is noticed at once."""


class ProcessLostError(TransientError):
    """Another process of the training has ended."""


@dataclass(frozen=True, slots=True)
class Processes:
    """The place of this process among `size`, counted from 0."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that validates and stores."""
        return self.rank == 0

    def num_rows(self, batch_size: int) -> int:
        """How many rows of a batch this process takes."""
        return len(range(self.rank, batch_size, self.size))

    def share(self, rows: Iterable[T], batch_size: int) -> Iterator[T]:
        """The rows of this process, of a stream that begins with a whole batch."""
        places = cycle(range(batch_size))
        return (
            row for row, place in zip(rows, places, strict=False) if place % self.size == self.rank
        )

    def sum(self, values: Sequence[float]) -> list[float]:
        """Sums over all processes, in float64."""
        total = torch.tensor(values, dtype=torch.float64)
        if self.size > 1:
            with _together():
                dist.all_reduce(total)
        summed: list[float] = total.tolist()
        return summed

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by its sum over all processes; one without rows has none yet."""
        if self.size == 1:
            return
        self.sum([0])  # where another has ended this raises, while NCCL would wait for it
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        with _together():
            waiting = [dist.all_reduce(value.grad, async_op=True) for value in parameters]
            for one in waiting:
                one.wait()

    def start_together(self, tensors: Sequence[Tensor], step: int) -> None:
        """Take over the first process's weights; raises `IntegrityError` for different steps."""
        if self.size == 1:
            return
        total, squares = self.sum([step, step**2])
        if self.size * squares != total**2:  # all raise, so that none waits
            raise IntegrityError(
                f"process {self.rank} of {self.size} resumes after step {step}, all of them on"
                f" average after {total / self.size:g}: they do not see the same checkpoints; all"
                " need the same root"
            )
        with torch.no_grad(), _together():
            for tensor in tensors:
                dist.broadcast(tensor, src=0)


ALONE: Final = Processes()


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ProcessLostError(
            f"a process of the training has to stop, because it has lost another: {reason}; see"
            " what that one says, and start the training again"
        ) from error


@contextmanager
def joined(
    device: torch.device, meeting: str | None = None, rank: int = -1, size: int = -1
) -> Iterator[Processes]:
    """Be one of the processes, which meet at a URL; None: as the variables of torchrun say.

    Raises `ProcessLostError`, here and from whatever waits for the others, when one has ended.
    """
    # counts are on the CPU, so that the end of a process is noticed where NCCL would wait
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    with _together():
        dist.init_process_group(
            backend, init_method=meeting, rank=rank, world_size=size, timeout=_TIMEOUT
        )
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
