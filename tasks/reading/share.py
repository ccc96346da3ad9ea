"""Which windows of a manifest each of several readers takes: a pure function of seed and epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from storage.errors import UserError
from tasks.reading.order import random_below, shuffle

Uneven = Literal["keep", "drop", "wrap"]
"""What becomes of windows that cannot be shared evenly.

`keep`: each window once an epoch, and some shares have one more than others. `drop`: all shares are
equal, and fewer windows than there are shares are left out, others in each epoch. `wrap`: all
shares are equal, and fewer windows than there are shares come twice.
"""


@dataclass(frozen=True, slots=True)
class Consumer:
    """One of `num` readers that together read a manifest: its rank and its worker, as one index."""

    index: int
    num: int

    def __post_init__(self) -> None:
        """Raises `UserError` for an index that is not one of them."""
        if not 0 <= self.index < self.num:
            raise UserError(
                f"reader {self.index} of {self.num} is not among them; expected 0 to {self.num - 1}"
            )


ALONE: Final = Consumer(0, 1)


class Piece(NamedTuple):
    """Windows of an entry, from `first` up to but not including `stop` in the entry's own order."""

    entry: int
    first: int
    stop: int


def share_size(num_windows: Sequence[int], consumer: Consumer, uneven: Uneven) -> int:
    """How many windows a reader takes in each epoch."""
    start, stop = _bounds(sum(num_windows), consumer, uneven)
    return stop - start


def pieces(
    num_windows: Sequence[int], consumer: Consumer, *, seed: int, epoch: int, uneven: Uneven
) -> list[Piece]:
    """What a reader takes in an epoch; `num_windows` holds the windows of each entry.

    The entries stand in a line, in a new order each epoch, and the line is cut into as many parts
    as there are readers. So each entry is read by one of them, or by two where a cut falls into it.
    A reader alone takes the entries as they come.
    """
    line = list(range(len(num_windows)))
    if consumer.num > 1:
        shuffle(line, random_below(seed, epoch, consumer.num))
    total = sum(num_windows)
    start, stop = _bounds(total, consumer, uneven)
    found: list[Piece] = []
    while start < stop:
        turn = start - start % total
        for entry in line:
            first = max(start - turn, 0)
            last = min(stop - turn, num_windows[entry])
            if first < last:
                found.append(Piece(entry, first, last))
            turn += num_windows[entry]
        start = turn
    return found


def _bounds(total: int, consumer: Consumer, uneven: Uneven) -> tuple[int, int]:
    """The part of a line of windows that goes round and round."""
    index, num = consumer.index, consumer.num
    if uneven == "keep":
        return index * total // num, (index + 1) * total // num
    size = total // num if uneven == "drop" else -(-total // num)
    return index * size, (index + 1) * size


def consumed_by_workers(
    num_batches: int, batch_size: int, totals: Sequence[int | None]
) -> tuple[list[int], int]:
    """How many examples each worker gave when a `DataLoader` had given `num_batches`.

    And the worker whose turn is next. `totals` are all that each worker has to give, None without
    end. The loader takes a batch from each worker in turn, passing over those that are at their
    end; the last one of a worker may be smaller.
    """
    has = [num_batches if total is None else -(-total // batch_size) for total in totals]
    num_rounds = min(num_batches // len(totals), *has)
    given = [num_rounds] * len(totals)
    left, turn = num_batches - sum(given), 0
    while left > 0 and given != has:
        if given[turn] < has[turn]:
            given[turn] += 1
            left -= 1
        turn = (turn + 1) % len(totals)
    sizes = (num * batch_size for num in given)
    consumed = [
        size if total is None else min(size, total)
        for size, total in zip(sizes, totals, strict=True)
    ]
    return consumed, turn
