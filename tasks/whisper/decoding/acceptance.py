"""How many drafted tokens the teacher accepts.

A step with n drafted tokens gains 1 + s(1) + ... + s(n) tokens, where s(i) is the probability that
all of the first i are accepted (Leviathan et al., "Fast inference from transformers via speculative
decoding", 2023, section 3.1, without its assumption that all are accepted alike).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LENGTHS: Final = (0, 1, 2, 4, 6, 8)
"""Tokens that a step may draft; few, since each has CUDA graphs of its own. 0: a plain step."""
MAX_DRAFTED: Final = LENGTHS[-1]

_PRIOR_STEPS: Final = 2.0
_PRIOR_ACCEPTANCE: Final = 0.8
_REMEMBERED_STEPS: Final = 4_096

Tallies = Sequence[Sequence[int]]
"""At [0][n] the steps of single rows with at least n drafted tokens, at [1][n] those of them that
gained more than n tokens; see `tasks.whisper.decoding.slots.Slots`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DraftCounts:
    """What was drafted so far; a round is a step of one row that had drafted tokens.

    Tokens that were drafted beyond the end of a window count, and were not accepted.
    """

    num_rounds: int = 0
    num_drafted: int = 0
    num_accepted: int = 0

    def __sub__(self, earlier: "DraftCounts") -> "DraftCounts":
        """What was drafted since `earlier`."""
        return DraftCounts(
            num_rounds=self.num_rounds - earlier.num_rounds,
            num_drafted=self.num_drafted - earlier.num_drafted,
            num_accepted=self.num_accepted - earlier.num_accepted,
        )

    @property
    def acceptance_percent(self) -> float:
        """The share of drafted tokens that the teacher accepted; 0 if none were drafted."""
        return 100 * self.num_accepted / max(1, self.num_drafted)

    @property
    def tokens_per_round(self) -> float:
        """Accepted tokens and the teacher's own; 0 without rounds."""
        return (self.num_rounds + self.num_accepted) / max(1, self.num_rounds)

    @property
    def drafted_per_round(self) -> float:
        """Drafted tokens; 0 without rounds."""
        return self.num_drafted / max(1, self.num_rounds)


class Acceptance:
    """How many tokens steps gain; what was counted long ago counts less."""

    def __init__(self) -> None:
        self._tried = [0.0] * (MAX_DRAFTED + 1)
        self._survived = [0.0] * (MAX_DRAFTED + 1)

    def add(self, tallies: Tallies) -> None:
        """Take in what steps have gained."""
        for number, (tried, survived) in enumerate(zip(*tallies, strict=True)):
            self._tried[number] += tried
            self._survived[number] += survived
        if self._tried[1] > _REMEMBERED_STEPS:
            self._tried = [one / 2 for one in self._tried]
            self._survived = [one / 2 for one in self._survived]

    def expected_tokens(self, num_drafted: int) -> float:
        """Tokens that a row gains in a step."""
        total = survival = 1.0
        for tried, survived in zip(self._tried[1:], self._survived[1:], strict=True):
            if not num_drafted:
                break
            guess = _PRIOR_STEPS * _PRIOR_ACCEPTANCE * survival
            survival = min(survival, (survived + guess) / (tried + _PRIOR_STEPS))
            total, num_drafted = total + survival, num_drafted - 1
        return total
