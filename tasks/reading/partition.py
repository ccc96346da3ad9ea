"""Divides the windows of a manifest among readers: a pure function of seed and epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from storage.errors import UserError
from tasks.reading.shuffle import random_below, shuffle

Uneven = Literal["keep", "drop", "wrap"]
"""What to do if the windows of an epoch cannot be divided evenly.

`keep`: every window once; some readers get one more. `drop`: equal parts; a few windows, fewer than
readers, are skipped, others in each epoch. `wrap`: equal parts; a few windows, fewer than readers,
occur twice.
"""


@dataclass(frozen=True, slots=True)
class Consumer:
    """One of `num` readers that read a manifest together; one per rank and worker."""

    index: int
    num: int

    def __post_init__(self) -> None:
        """Raises `UserError` for an index out of range."""
        if not 0 <= self.index < self.num:
            raise UserError(
                f"reader {self.index} of {self.num} does not exist; expected 0 to {self.num - 1}"
            )


ALONE: Final = Consumer(0, 1)


class Span(NamedTuple):
    """Windows of a shard, from `first` up to but not including `stop`."""

    shard: int
    first: int
    stop: int


def partition_size(num_windows: Sequence[int], consumer: Consumer, uneven: Uneven) -> int:
    """The number of windows a reader gets per epoch."""
    start, stop = _bounds(sum(num_windows), consumer, uneven)
    return stop - start


def partition(
    num_windows: Sequence[int], consumer: Consumer, *, seed: int, epoch: int, uneven: Uneven
) -> list[Span]:
    """The windows of a reader in an epoch; `num_windows` are the windows per shard.

    The shards are concatenated, in a new random order each epoch, and cut into one part per
    reader. So a shard is read by one reader, or by two where a cut divides it. A single reader
    gets the shards in order.
    """
    order = list(range(len(num_windows)))
    if consumer.num > 1:
        shuffle(order, random_below(seed, epoch, consumer.num))
    total = sum(num_windows)
    start, stop = _bounds(total, consumer, uneven)
    spans: list[Span] = []
    while start < stop:
        offset = start - start % total
        for shard in order:
            first = max(start - offset, 0)
            last = min(stop - offset, num_windows[shard])
            if first < last:
                spans.append(Span(shard, first, last))
            offset += num_windows[shard]
        start = offset
    return spans


def _bounds(total: int, consumer: Consumer, uneven: Uneven) -> tuple[int, int]:
    """Start and stop of a reader in the windows, repeated endlessly for `wrap`."""
    index, num = consumer.index, consumer.num
    if uneven == "keep":
        return index * total // num, (index + 1) * total // num
    size = total // num if uneven == "drop" else -(-total // num)
    return index * size, (index + 1) * size


def consumed_by_workers(
    num_batches: int, batch_size: int, totals: Sequence[int | None]
) -> tuple[list[int], int]:
    """The examples per worker in the first `num_batches` of a `DataLoader`, and the next worker.

    `totals` are the examples each worker has, None if endless. The loader takes batches from the
    workers in turn and skips exhausted ones; the last batch of a worker may be smaller.
    """
    num_available = [num_batches if total is None else -(-total // batch_size) for total in totals]
    num_rounds = min(num_batches // len(totals), *num_available)
    given = [num_rounds] * len(totals)
    left, turn = num_batches - sum(given), 0
    while left > 0 and given != num_available:
        if given[turn] < num_available[turn]:
            given[turn] += 1
            left -= 1
        turn = (turn + 1) % len(totals)
    sizes = (num * batch_size for num in given)
    consumed = [
        size if total is None else min(size, total)
        for size, total in zip(sizes, totals, strict=True)
    ]
    return consumed, turn
