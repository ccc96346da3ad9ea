"""In which order a manifest's windows are seen: a pure function of seed and epoch."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Item = TypeVar("Item")
Below = Callable[[int], int]

_BLOCK: Final = 4_096


class Place(NamedTuple):
    """A window: the index of its manifest entry, and its position in that entry's own order."""

    entry: int
    position: int


def epoch_order(
    num_windows: Sequence[int],
    *,
    seed: int,
    epoch: int,
    num_open: int,
    num_buffered: int,
    who: Sequence[int] = (),
    on_last: Callable[[int], None] | None = None,
) -> Iterator[Place]:
    """Every window of every entry once, shuffled within bounded memory.

    `num_windows` holds the windows of each entry. Entries come in random order; windows are drawn
    from `num_open` of them at a time, each entry in its own order, into a buffer of `num_buffered`,
    and leave the buffer at random. With all windows in the buffer it is a full shuffle. Each `who`
    has an order of its own. `on_last` is told of an entry when its last window is in the buffer.
    """
    below = random_below(seed, epoch, *who)
    waiting = [entry for entry, count in enumerate(num_windows) if count]
    shuffle(waiting, below)
    opened: list[Place] = []  # the next window of each open entry
    buffer: list[Place] = []
    while waiting or opened:
        while waiting and len(opened) < num_open:
            opened.append(Place(waiting.pop(), 0))
        chosen = below(len(opened))
        drawn = opened[chosen]
        if drawn.position + 1 < num_windows[drawn.entry]:
            opened[chosen] = Place(drawn.entry, drawn.position + 1)
        else:
            del opened[chosen]
            if on_last is not None:
                on_last(drawn.entry)
        if len(buffer) < num_buffered:
            buffer.append(drawn)
            continue
        chosen = below(len(buffer))
        yield buffer[chosen]
        buffer[chosen] = drawn
    shuffle(buffer, below)
    yield from buffer


def shuffle(items: list[Item], below: Below) -> None:
    """Put items in random order."""
    for last in range(len(items) - 1, 0, -1):
        other = below(last + 1)
        items[last], items[other] = items[other], items[last]


def random_below(seed: int, *numbers: int) -> Below:
    """Draws integers from 0 to below a bound, of at most a few millions.

    Each seed and `numbers` have a sequence of their own.
    """
    drawn = (fraction for block in random_fractions(seed, *numbers) for fraction in block.tolist())
    return lambda bound: int(next(drawn) * bound)


def random_fractions(seed: int, *numbers: int) -> Iterator[npt.NDArray[np.float64]]:
    """Endless blocks of numbers in [0, 1), a sequence for each seed and `numbers`.

    From the raw output of PCG64, the one sequence that numpy promises to keep from version to
    version: a training may go on under another one.
    """
    source = np.random.PCG64(np.random.SeedSequence([seed % 2**64, *numbers]))
    while True:
        block: npt.NDArray[np.uint64] = source.random_raw(_BLOCK) >> np.uint64(11)
        yield block.astype(np.float64) * 2.0**-53
