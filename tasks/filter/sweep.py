"""How much each threshold would keep of a table of evidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from configs.schema import Filter
from tasks.filter.decide import KEPT, Flags, Members, decide, is_ambiguous
from tasks.filter.rules import FilterContext, rules, wer

_NESTED: Final = "utterances.list.element."


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of windows, utterances and hours; adds up over shards."""

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


def columns_needed(settings: Filter, context: FilterContext) -> list[str]:
    """The columns of a Parquet file of EVIDENCE that `sweep` needs."""
    of_windows = {"duration_s"}
    of_utterances = {"is_end_ambiguous"}  # the smallest column, which counts the utterances
    for rule in rules(settings, context):
        columns = of_windows if rule.applies_to_windows(settings.unit) else of_utterances
        columns.update(rule.columns)
    if settings.unit == "utterance":
        of_utterances.add("duration_s")
    return sorted(of_windows) + [_NESTED + name for name in sorted(of_utterances)]


def sweep(
    evidence: pa.Table, settings: Filter, context: FilterContext, max_wer_percents: Sequence[float]
) -> tuple[Amount, list[Amount]]:
    """The total of `evidence`, and the amount that each WER threshold keeps with `settings`.

    `evidence` has at least the columns `columns_needed(settings, context)`. The other rules do not
    depend on the threshold and are applied once.
    """
    members = Members.of(evidence)
    unit = settings.unit
    others = [rule for rule in rules(settings, context) if rule.reason != wer(0).reason]
    is_dropped = decide(members, others, unit) != KEPT
    limits = [wer(percent).except_for(context.marks.keep, unit) for percent in max_wer_percents]
    windows_s = members.windows.column("duration_s").to_numpy()
    total = Amount(len(windows_s), len(members.parents), float(windows_s.sum()) / 3600)
    if unit == "utterance":
        return total, [
            _cut_down(members, is_dropped | members.apply(limit, unit)) for limit in limits
        ]
    counts = np.bincount(members.parents, minlength=len(windows_s))
    is_kept = np.ones(len(windows_s), np.bool_)
    is_kept[members.parents[is_dropped]] = False
    kept_windows = (is_kept & ~members.apply(limit, unit) for limit in limits)
    return total, [
        Amount(
            int(np.count_nonzero(taken)),
            int(counts.sum(where=taken)),
            float(windows_s.sum(where=taken)) / 3600,
        )
        for taken in kept_windows
    ]


def _cut_down(members: Members, is_dropped: Flags) -> Amount:
    """The amount in windows that are cut down to their kept utterances."""
    taken = ~(is_dropped | is_ambiguous(members, is_dropped))
    durations_s = members.utterances.column("duration_s").to_numpy()
    return Amount(
        int(np.count_nonzero(np.diff(members.parents[taken], prepend=-1))),
        int(np.count_nonzero(taken)),
        float(durations_s.sum(where=taken)) / 3600,
    )
