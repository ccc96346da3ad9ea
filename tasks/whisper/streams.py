"""Flights side by side on the cores of a processor, each with its own windows and its own thread.

The products of one step are too small to be shared by cores: waking the others takes longer than
the work. Whole flights share nothing but the weights. Which sounds a flight gets depends on their
order alone, never on who was faster, so that what is heard is repeatable to the last bit.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Final

import torch

from tasks.whisper.engine import AudioWindow
from tasks.whisper.flight import Flight, Hypothesis

_FEWEST_SLOTS: Final = 8
_LAST_LEGS: Final = 4


def num_streams(num_slots: int, device: torch.device) -> int:
    """How many flights share so many slots: one a core, as long as each has enough to do."""
    if device.type != "cpu":
        return 1
    return max(1, min(torch.get_num_threads(), num_slots // _FEWEST_SLOTS))


@dataclass(frozen=True, slots=True)
class Leg:
    """What a flight heard until it had use for more sounds, or until there was no memory."""

    landed: Sequence[tuple[AudioWindow, Hypothesis]]
    no_memory: str | None = None


Fly = Callable[[Sequence[tuple[Flight, Sequence[AudioWindow]]], bool], Sequence[Leg]]
"""Gives each flight its sounds, says whether they are the last, and waits for all flights."""


@contextmanager
def side_by_side(num_flights: int) -> Iterator[Fly]:
    """A thread for each of so many flights, between which the threads of torch are divided."""
    if num_flights == 1:
        yield lambda given, is_last: [_fly(one, sounds, is_last) for one, sounds in given]
        return
    num_threads = torch.get_num_threads()
    share = max(1, num_threads // num_flights)
    with ThreadPoolExecutor(
        num_flights, "flight", initializer=torch.set_num_threads, initargs=(share,)
    ) as pool:
        try:
            yield lambda given, is_last: list(
                pool.map(_fly, *zip(*given, strict=True), repeat(is_last))
            )
        finally:
            # a thread's number is its own, but what threads to come begin with is everybody's
            torch.set_num_threads(num_threads)


def _fly(flight: Flight, sounds: Sequence[AudioWindow], is_last: bool) -> Leg:
    landed: list[tuple[AudioWindow, Hypothesis]] = []
    try:
        landed += flight.turn(sounds)
        # where no others come, not for each that has ended, but often enough for what has failed
        enough = len(flight.sounds) // _LAST_LEGS if is_last else 0
        while flight.sounds and (not flight.room or len(landed) < enough):
            landed += flight.turn(())
    except torch.OutOfMemoryError as error:
        return Leg(landed, str(error))
    return Leg(landed)
