"""The order of the windows in an epoch: a pure function of seed and epoch."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Item = TypeVar("Item")
Below = Callable[[int], int]

_BLOCK: Final = 4_096


class WindowIndex(NamedTuple):
    """A window: the index of its shard, and its position in the shard."""

    shard: int
    position: int


def epoch_order(
    num_windows: Sequence[int],
    *,
    seed: int,
    epoch: int,
    num_open: int,
    num_buffered: int,
    stream: Sequence[int] = (),
    on_last: Callable[[int], None] | None = None,
) -> Iterator[WindowIndex]:
    """Every window of every shard once, shuffled in bounded memory.

    `num_windows` are the windows per shard. Shards are opened in random order, `num_open` at a
    time. Windows are drawn from a random open shard, each in its own order, into a buffer of
    `num_buffered`, and leave it at random; a buffer for all windows gives a full shuffle. Each
    `stream` has an independent order. `on_last` is called with a shard when its last window is in
    the buffer.
    """
    below = random_below(seed, epoch, *stream)
    waiting = [shard for shard, count in enumerate(num_windows) if count]
    shuffle(waiting, below)
    opened: list[WindowIndex] = []  # the next window of each open shard
    buffer: list[WindowIndex] = []
    while waiting or opened:
        while waiting and len(opened) < num_open:
            opened.append(WindowIndex(waiting.pop(), 0))
        chosen = below(len(opened))
        drawn = opened[chosen]
        if drawn.position + 1 < num_windows[drawn.shard]:
            opened[chosen] = WindowIndex(drawn.shard, drawn.position + 1)
        else:
            del opened[chosen]
            if on_last is not None:
                on_last(drawn.shard)
        if len(buffer) < num_buffered:
            buffer.append(drawn)
            continue
        chosen = below(len(buffer))
        yield buffer[chosen]
        buffer[chosen] = drawn
    shuffle(buffer, below)
    yield from buffer


def shuffle(items: list[Item], below: Below) -> None:
    """Shuffle in place (Fisher-Yates)."""
    for last in range(len(items) - 1, 0, -1):
        other = below(last + 1)
        items[last], items[other] = items[other], items[last]


def random_below(seed: int, *numbers: int) -> Below:
    """A generator of integers from 0 to below a bound of at most a few millions.

    Each seed with `numbers` gives its own sequence.
    """
    drawn = (fraction for block in random_fractions(seed, *numbers) for fraction in block.tolist())
    return lambda bound: int(next(drawn) * bound)


def random_fractions(seed: int, *numbers: int) -> Iterator[npt.NDArray[np.float64]]:
    """Endless blocks of random numbers in [0, 1); each seed with `numbers` gives its own sequence.

    Made from the raw output of PCG64, which numpy keeps stable between versions, so that training
    can resume under another version.
    """
    source = np.random.PCG64(np.random.SeedSequence([seed % 2**64, *numbers]))
    while True:
        block: npt.NDArray[np.uint64] = source.random_raw(_BLOCK) >> np.uint64(11)
        yield block.astype(np.float64) * 2.0**-53
