"""Filter rules: predicates over whole tables of evidence."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A reason to drop rows.

    `drops` maps a table with at least the `columns` to one boolean per row, without nulls. The rows
    are windows (EVIDENCE) or utterances (UTTERANCE_EVIDENCE), as `level` says; with `unit` they are
    what `filter.unit` keeps or drops. `detail` describes the value found in a dropped row.
    """

    reason: str
    level: Literal["unit", "window", "utterance"] = "unit"
    columns: tuple[str, ...]
    drops: Callable[[pa.Table], pa.ChunkedArray]
    detail: Callable[[Row], str]

    def applies_to_windows(self, unit: Literal["window", "utterance"]) -> bool:
        """Whether the rule is applied to windows, with this `filter.unit`."""
        return (unit if self.level == "unit" else self.level) == "window"


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


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.2f}"
