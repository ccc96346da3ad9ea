"""A claim of the paper with the limit at which it holds, and the verdict on a figure.

The figure alone decides: a claim holds if it is on the right side of the limit. The reason says
whether its interval is on that side too, since chance could reverse a verdict where it is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from tasks.evaluate.findings import Claim, Interval

NO_FIGURE: Final = "-"
"""In place of a figure that was not measured, or that the paper does not state."""

Spread = Literal["95 % interval", "rounds"]
"""What the ends beside a figure are: of an interval, or the lowest and highest of all rounds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """A claim, and the limit that its figure must not be above (`at_most`) or below (`at_least`).

    `unit` is that of the limit, as it is written after a number.
    """

    name: str
    claim: str
    source: str
    paper: str
    side: Literal["at_most", "at_least"]
    limit: float
    unit: str

    def tried(
        self,
        value: float,
        ours: str,
        *,
        interval: Interval | None = None,
        spread: Spread = "95 % interval",
        values: Mapping[str, float] | None = None,
        remarks: tuple[str, ...] = (),
    ) -> Claim:
        """The verdict on a figure; `ours` is its text without the interval.

        `spread` says what the interval is, and `remarks` go at the end of the reason.
        """
        is_held = self._is_held(value)
        side = "at most" if self.side == "at_most" else "at least"
        verdict = f"{ours} is {'' if is_held else 'not '}{side} {self.limit:g}{self.unit}"
        if interval is not None:
            verdict += f", {self._certainty(is_held, interval, spread)}"
        return Claim(
            name=self.name,
            claim=self.claim,
            source=self.source,
            paper=self.paper,
            ours=ours if interval is None else f"{ours} ({_ends(interval)})",
            values=values or {},
            interval=interval,
            verdict="holds" if is_held else "fails",
            reason="; ".join([verdict, *remarks]),
        )

    def not_measured(self, why: str) -> Claim:
        """The claim without a figure; `why` names what would measure it."""
        return Claim(
            name=self.name,
            claim=self.claim,
            source=self.source,
            paper=self.paper,
            ours=NO_FIGURE,
            verdict="not_measured",
            reason=why,
        )

    def _is_held(self, value: float) -> bool:
        return value <= self.limit if self.side == "at_most" else value >= self.limit

    def _certainty(self, is_held: bool, interval: Interval, spread: Spread) -> str:
        if any(self._is_held(end) != is_held for end in interval):
            if spread == "rounds":
                return "but not in all rounds"
            return "but not significantly: its 95 % interval is on both sides"
        if spread == "rounds":
            return "in every round" if is_held else "in no round"
        return "and so is its whole 95 % interval" if is_held else "nor is any of its 95 % interval"


def _ends(interval: Interval) -> str:
    low, high = interval
    return f"{low:.1f} to {high:.1f}"
