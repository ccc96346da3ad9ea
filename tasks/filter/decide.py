"""What becomes of each utterance of a table of evidence, by the rules: asked of all at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.filter.rule import Rule

Unit = Literal["window", "utterance"]
Places = npt.NDArray[np.int16]
Flags = npt.NDArray[np.bool_]

KEPT: Final = -1
NEIGHBOUR: Final = -2
"""Dropped because its window is, for what another utterance in it breaks."""
AMBIGUOUS: Final = -3
"""Dropped because it is not sure which words are its own and which those of a dropped one."""


@dataclass(frozen=True, eq=False, slots=True)
class Members:
    """Windows and their utterances, as tables of the columns that were read.

    `parents` has for each utterance the row of its window.
    """

    windows: pa.Table
    utterances: pa.Table
    parents: npt.NDArray[np.int64]

    @classmethod
    def of(cls, evidence: pa.Table) -> Self:
        """The two tables of evidence: EVIDENCE, or some of its columns and fields."""
        windows = evidence.combine_chunks()
        lists = windows.column("utterances")
        parents = np.repeat(np.arange(windows.num_rows), pc.list_value_length(lists).to_numpy())
        # flattened by itself, for a slice of a list must not show what is outside of it
        flat = [chunk.flatten() for chunk in lists.chunks]
        utterances = pa.Table.from_struct_array(pa.chunked_array(flat, lists.type.value_type))
        return cls(windows, utterances, parents)

    def asked(self, rule: Rule, unit: Unit) -> Flags:
        """What a rule drops: for each window if it is asked of windows, else each utterance."""
        table = self.windows if rule.is_of_windows(unit) else self.utterances
        flags: Flags = rule.drops(table).to_numpy()
        return flags


def decide(members: Members, chosen: Sequence[Rule], unit: Unit) -> Places:
    """For each utterance the place in `chosen` of the rule that drops it, or what stands above.

    Rules are asked in their order. With `unit` window, what one utterance breaks drops its window;
    with `unit` utterance, what a window breaks drops all that is in it, and where words at the
    boundary between a dropped and another utterance may be of either, the other one goes too.
    """
    if unit == "window":
        return _windows(members, chosen)
    places: Places = np.full(len(members.parents), KEPT, np.int16)
    for place, rule in enumerate(chosen):
        found = members.asked(rule, unit)
        if rule.is_of_windows(unit):
            found = found[members.parents]
        places[found & (places == KEPT)] = place
    places[in_doubt(members, places != KEPT)] = AMBIGUOUS
    return places


def _windows(members: Members, chosen: Sequence[Rule]) -> Places:
    parents = members.parents
    is_open = np.ones(members.windows.num_rows, np.bool_)
    places: Places = np.full(len(parents), KEPT, np.int16)
    for place, rule in enumerate(chosen):
        found = members.asked(rule, "window")
        if rule.is_of_windows("window"):
            places[(found & is_open)[parents]] = place
            is_open &= ~found
        else:
            found &= is_open[parents]
            places[found] = place
            is_open[parents[found]] = False
    places[(places == KEPT) & ~is_open[parents]] = NEIGHBOUR
    return places


def in_doubt(members: Members, is_dropped: Flags) -> Flags:
    """Those beside a dropped utterance with an ambiguous boundary between them, one by one on."""
    if not len(is_dropped):
        return is_dropped
    parents = members.parents
    ends_unclear = members.utterances.column("is_end_ambiguous").to_numpy()[:-1]
    is_joint = ends_unclear & (parents[1:] == parents[:-1])
    gone = is_dropped.copy()
    while (differs := is_joint & (gone[1:] != gone[:-1])).any():
        gone[1:] |= differs
        gone[:-1] |= differs
    return gone & ~is_dropped
