"""Filter rules: predicates over whole tables of evidence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A reason to drop rows.

    `drops` maps a table with at least the `columns` to one boolean per row, without nulls. The rows
    are windows (EVIDENCE) or utterances (UTTERANCE_EVIDENCE), as `level` says; with `unit` they are
    what `filter.unit` keeps or drops. `detail` describes the value found in a dropped row. A rule
    that `is_final` also drops what a listener marked to be kept.
    """

    reason: str
    level: Literal["unit", "window", "utterance"] = "unit"
    columns: tuple[str, ...]
    drops: Callable[[pa.Table], pa.ChunkedArray]
    detail: Callable[[Row], str]
    is_final: bool = False

    def applies_to_windows(self, unit: Literal["window", "utterance"]) -> bool:
        """Whether the rule is applied to windows, with this `filter.unit`."""
        return (unit if self.level == "unit" else self.level) == "window"

    def except_for(self, ids: Sequence[str], unit: Literal["window", "utterance"]) -> Self:
        """The rule without the rows marked by `ids`, unless it is final.

        A window is marked by its own id, or by the ids of all its utterances.
        """
        if self.is_final or not ids:
            return self
        marked = pa.array(ids, pa.string())
        of_windows = self.applies_to_windows(unit)
        is_marked = _is_marked_window if of_windows else _is_marked_utterance
        names = ("window_id", "utterance_ids") if of_windows else ("id",)
        return replace(
            self,
            columns=(*self.columns, *names),
            drops=lambda rows: pc.and_not(self.drops(rows), is_marked(rows, marked)),
        )


def above(
    reason: str,
    column: str,
    limit: float,
    *,
    level: Literal["unit", "window", "utterance"] = "unit",
    without_reference: bool = False,
) -> Rule:
    """Drop values above `limit`; values at the limit and nulls are kept.

    `without_reference` restricts the rule to rows whose reference has no words.
    """
    return _limit(pc.greater, ">", reason, column, limit, level, without_reference)


def below(
    reason: str,
    column: str,
    limit: float,
    *,
    level: Literal["unit", "window", "utterance"] = "unit",
    without_reference: bool = False,
) -> Rule:
    """Drop values below `limit`; otherwise as `above`."""
    return _limit(pc.less, "<", reason, column, limit, level, without_reference)


def _limit(
    compare: Callable[[pa.ChunkedArray, float], pa.ChunkedArray],
    sign: str,
    reason: str,
    column: str,
    limit: float,
    level: Literal["unit", "window", "utterance"],
    without_reference: bool,
) -> Rule:
    def drops(rows: pa.Table) -> pa.ChunkedArray:
        beyond = pc.fill_null(compare(rows.column(column), limit), False)
        if not without_reference:
            return beyond
        return pc.and_(beyond, pc.equal(rows.column("num_reference_words"), 0))

    return Rule(
        reason=reason,
        level=level,
        columns=(column, "num_reference_words") if without_reference else (column,),
        drops=drops,
        detail=lambda row: f"{column} {_shown(row[column])} {sign} {limit:g}",
    )


def _is_marked_utterance(rows: pa.Table, marked: pa.Array) -> pa.ChunkedArray:
    return pc.is_in(rows.column("id"), marked)


def _is_marked_window(rows: pa.Table, marked: pa.Array) -> pa.ChunkedArray:
    lists = rows.column("utterance_ids").combine_chunks()
    unmarked = pc.invert(pc.is_in(lists.flatten(), marked))
    has_unmarked = np.zeros(rows.num_rows, np.bool_)
    has_unmarked[pc.list_parent_indices(lists).filter(unmarked).to_numpy()] = True
    return pc.or_(pc.is_in(rows.column("window_id"), marked), pa.array(~has_unmarked))


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.2f}"
