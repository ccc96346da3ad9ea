"""What each threshold would keep of a table of evidence: the rules of `filter`, asked together.

Knows evidence and rules; reads no file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from configs.schema import Filter
from tasks.filter.decide import KEPT, Flags, Members, decide, in_doubt
from tasks.filter.rules import FilterContext, rules, wer

PAPER_FILTERED_PERCENT: Final = {
    5.0: 60.3,
    10.0: 45.4,
    15.0: 32.0,
    20.0: 24.2,
    40.0: 11.9,
    80.0: 6.2,
    100.0: 0.0,
}
"""By threshold in percent, rising, the percentage left out (arXiv 2311.00430, table 10)."""

_NESTED: Final = "utterances.list.element."


@dataclass(frozen=True, slots=True)
class Amount:
    """So many windows with so many utterances and hours; adds up over shards."""

    windows: int = 0
    utterances: int = 0
    hours: float = 0.0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            self.windows + other.windows,
            self.utterances + other.utterances,
            self.hours + other.hours,
        )

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(
            self.windows - other.windows,
            self.utterances - other.utterances,
            self.hours - other.hours,
        )


def columns_asked(settings: Filter, known: FilterContext) -> list[str]:
    """The columns of a Parquet file of EVIDENCE that `sweep` reads, and no others."""
    of_windows = {"duration_s"}
    of_utterances = {"is_end_ambiguous"}  # of which there is one for each, and none is smaller
    for rule in rules(settings, known):
        asked = of_windows if rule.is_of_windows(settings.unit) else of_utterances
        asked.update(rule.asks)
    if settings.unit == "utterance":
        of_utterances.add("duration_s")
    return sorted(of_windows) + [_NESTED + name for name in sorted(of_utterances)]


def sweep(
    evidence: pa.Table, settings: Filter, known: FilterContext, max_wer_percents: Sequence[float]
) -> tuple[Amount, list[Amount]]:
    """All of `evidence`, and what `settings` keep of it with each threshold in place of their own.

    `evidence` has at least the columns `columns_asked(settings, known)`. The rules beside the
    threshold are asked once, for no threshold changes what they say.
    """
    members = Members.of(evidence)
    unit = settings.unit
    others = [rule for rule in rules(settings, known) if rule.reason != wer(0).reason]
    is_dropped = decide(members, others, unit) != KEPT
    windows_s = members.windows.column("duration_s").to_numpy()
    heard = Amount(len(windows_s), len(members.parents), float(windows_s.sum()) / 3600)
    if unit == "utterance":
        return heard, [
            _cut_down(members, is_dropped | members.asked(wer(percent), unit))
            for percent in max_wer_percents
        ]
    counts = np.bincount(members.parents, minlength=len(windows_s))
    is_left = np.ones(len(windows_s), np.bool_)
    is_left[members.parents[is_dropped]] = False
    kept = (is_left & ~members.asked(wer(percent), unit) for percent in max_wer_percents)
    return heard, [
        Amount(
            int(np.count_nonzero(taken)),
            int(counts.sum(where=taken)),
            float(windows_s.sum(where=taken)) / 3600,
        )
        for taken in kept
    ]


def _cut_down(members: Members, is_dropped: Flags) -> Amount:
    """What is left of windows that are cut down to their good utterances."""
    taken = ~(is_dropped | in_doubt(members, is_dropped))
    durations_s = members.utterances.column("duration_s").to_numpy()
    return Amount(
        int(np.count_nonzero(np.diff(members.parents[taken], prepend=-1))),
        int(np.count_nonzero(taken)),
        float(durations_s.sum(where=taken)) / 3600,
    )
