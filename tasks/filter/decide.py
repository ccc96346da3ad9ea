"""Applies the rules to all utterances of a table of evidence at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.filter.rule import Rule

Unit = Literal["window", "utterance"]
Decisions = npt.NDArray[np.int16]
Flags = npt.NDArray[np.bool_]

KEPT: Final = -1
NEIGHBOUR: Final = -2
"""Dropped with its window, because of another utterance in it."""
AMBIGUOUS: Final = -3
"""Dropped because its words cannot be told apart from those of a dropped neighbour."""


@dataclass(frozen=True, eq=False, slots=True)
class Members:
    """Windows and their utterances as two tables.

    `parents`: (utterances,) int64, the row of the window of each utterance.
    """

    windows: pa.Table
    utterances: pa.Table
    parents: npt.NDArray[np.int64]

    @classmethod
    def of(cls, evidence: pa.Table) -> Self:
        """Split a table of EVIDENCE, or of some of its columns and fields."""
        windows = evidence.combine_chunks()
        lists = windows.column("utterances")
        parents = np.repeat(np.arange(windows.num_rows), pc.list_value_length(lists).to_numpy())
        # `chunk.flatten` respects slices, `chunk.values` does not
        flat = [chunk.flatten() for chunk in lists.chunks]
        utterances = pa.Table.from_struct_array(pa.chunked_array(flat, lists.type.value_type))
        return cls(windows, utterances, parents)

    def apply(self, rule: Rule, unit: Unit) -> Flags:
        """Which rows a rule drops, of windows or of utterances as the rule applies to."""
        table = self.windows if rule.applies_to_windows(unit) else self.utterances
        flags: Flags = rule.drops(table).to_numpy()
        return flags


def decide(members: Members, rules: Sequence[Rule], unit: Unit) -> Decisions:
    """The decision on each utterance: the index of the rule that drops it, or a constant above.

    Rules are applied in order. With `unit` window, a dropped utterance drops its window. With
    `unit` utterance, a dropped window drops all its utterances, and an utterance next to a dropped
    one is dropped if the boundary between them is ambiguous.
    """
    if unit == "window":
        return _windows(members, rules)
    decisions: Decisions = np.full(len(members.parents), KEPT, np.int16)
    for index, rule in enumerate(rules):
        is_dropped = members.apply(rule, unit)
        if rule.applies_to_windows(unit):
            is_dropped = is_dropped[members.parents]
        decisions[is_dropped & (decisions == KEPT)] = index
    decisions[is_ambiguous(members, decisions != KEPT)] = AMBIGUOUS
    return decisions


def _windows(members: Members, rules: Sequence[Rule]) -> Decisions:
    parents = members.parents
    is_open = np.ones(members.windows.num_rows, np.bool_)
    decisions: Decisions = np.full(len(parents), KEPT, np.int16)
    for index, rule in enumerate(rules):
        is_dropped = members.apply(rule, "window")
        if rule.applies_to_windows("window"):
            decisions[(is_dropped & is_open)[parents]] = index
            is_open &= ~is_dropped
        else:
            is_dropped &= is_open[parents]
            decisions[is_dropped] = index
            is_open[parents[is_dropped]] = False
    decisions[(decisions == KEPT) & ~is_open[parents]] = NEIGHBOUR
    return decisions


def is_ambiguous(members: Members, is_dropped: Flags) -> Flags:
    """Whether each utterance is joined to a dropped one by ambiguous boundaries."""
    if not len(is_dropped):
        return is_dropped
    parents = members.parents
    has_ambiguous_end = members.utterances.column("is_end_ambiguous").to_numpy()[:-1]
    is_joined = has_ambiguous_end & (parents[1:] == parents[:-1])
    gone = is_dropped.copy()
    while (differs := is_joined & (gone[1:] != gone[:-1])).any():
        gone[1:] |= differs
        gone[:-1] |= differs
    return gone & ~is_dropped
