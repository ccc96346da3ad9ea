"""A trial of how many tokens to draft: steps of several lengths in turn, and what they took.

Deals with counts and seconds alone; it has no notion of acceptance or models.
"""

from collections import deque
from collections.abc import Sequence
from statistics import fmean, median
from typing import Final

_GROUP_TIMES: Final = 2  # of a length, before another is tried
_GROUP_STEPS: Final = 6  # while CUDA graphs are recorded, steps say nothing
_SURE: Final = 2.0  # standard deviations of the number of cycles that a draft wins by chance
_PATIENCE: Final = 64  # times the work of a trial, until there is another
_PATIENCE_IF_HOPELESS: Final = 1_024


class Trial:
    """Seconds of steps at about the same number of rows, in cycles through the lengths.

    All lengths therefore meet the same positions, rows and disturbances. A length with a draft that
    is clearly slower than the best is dropped. `started_at` is in steps of single rows.
    """

    def __init__(self, lengths: Sequence[int], started_at: int) -> None:
        self.lengths = tuple(lengths)
        self.started_at = self.chosen_at = started_at
        self.remaining = list(lengths)
        self.cycles: list[dict[int, float]] = [{}]
        """Seconds of a step by row and length; the last cycle is not complete."""
        self.choice: int | None = None
        self.gains: Sequence[float] = ()
        """Speed of the chosen or fastest length with a draft, relative to plain steps, by cycle."""
        self._order = deque(lengths)
        self._group_s: list[float] = []
        self._num_steps = 0

    @property
    def length(self) -> int:
        """The length of the next step."""
        return self._order[0] if self.choice is None else self.choice

    @property
    def gain(self) -> float:
        """The median of `gains`; 1 if there are none."""
        return median(self.gains) if self.gains else 1.0

    @property
    def num_cycles(self) -> int:
        """Complete cycles."""
        return len(self.cycles) - 1

    def record(self, length: int, seconds_per_row: float | None) -> bool:
        """Take in a step; returns whether a cycle through all remaining lengths has ended."""
        if length != self._order[0]:  # of another thread, which is a group behind
            return False
        self._num_steps += 1
        if seconds_per_row is not None:
            self._group_s.append(seconds_per_row)
        if len(self._group_s) < _GROUP_TIMES and self._num_steps < _GROUP_STEPS:
            return False
        if self._group_s:
            self.cycles[-1][length] = fmean(self._group_s)
        self._group_s, self._num_steps = [], 0
        self._order.popleft()
        if not self._order:
            self.cycles.append({})
        return not self._order

    def next_cycle(self) -> None:
        """Begin another cycle through the remaining lengths, in the opposite order."""
        self._order.extend(sorted(self.remaining, reverse=self.num_cycles % 2 == 1))

    def step_s(self) -> dict[int, float]:
        """Seconds of a step by row and length: from ratios within a cycle, which noise shares."""
        measured = [cycle for cycle in self.cycles if 0 in cycle]
        if not measured:
            return {}
        plain_s = median(cycle[0] for cycle in measured)
        ratios = {
            length: [cycle[length] / cycle[0] for cycle in measured if length in cycle]
            for length in self.lengths
        }
        return {length: plain_s * median(found) for length, found in ratios.items() if found}

    @property
    def is_hopeless(self) -> bool:
        """Whether no length with a draft is left."""
        return self.remaining == [0]

    def is_due(self, now: int) -> bool:
        """Whether so much has been decoded since the choice that another trial costs little."""
        patience = _PATIENCE_IF_HOPELESS if self.is_hopeless else _PATIENCE
        work = self.chosen_at - self.started_at
        return self.choice is not None and now - self.chosen_at >= patience * max(1, work)


def are_sure(gains: Sequence[float]) -> bool:
    """Whether nearly all cycles agree on whether a draft gains: a sign test."""
    num_won = sum(one > 1 for one in gains)
    num_lost = len(gains) - num_won
    return (num_won - num_lost) ** 2 >= _SURE**2 * max(1, len(gains))
