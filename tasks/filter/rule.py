"""What a rule is: a question to a whole table of evidence, and the words of its answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """`drops` takes a table with the columns `asks` to booleans, one a row, without nulls.

    The table is of windows (EVIDENCE) or of their utterances (UTTERANCE_EVIDENCE): `of` says which,
    `unit` whatever the filter keeps or drops as a whole. `detail` says of a row that is dropped
    what was found.
    """

    reason: str
    of: Literal["unit", "window", "utterance"] = "unit"
    asks: tuple[str, ...]
    drops: Callable[[pa.Table], pa.ChunkedArray]
    detail: Callable[[Row], str]

    def is_of_windows(self, unit: Literal["window", "utterance"]) -> bool:
        """Whether it is asked of windows where the filter keeps units of this kind."""
        return (unit if self.of == "unit" else self.of) == "window"


def above(
    reason: str,
    column: str,
    limit: float,
    *,
    of: Literal["unit", "window", "utterance"] = "unit",
    without_reference: bool = False,
) -> Rule:
    """More than `limit` in a column, never what is at it or what has no value.

    `without_reference` restricts it to rows whose reference has no words.
    """
    return _limit(pc.greater, ">", reason, column, limit, of, without_reference)


def below(
    reason: str,
    column: str,
    limit: float,
    *,
    of: Literal["unit", "window", "utterance"] = "unit",
    without_reference: bool = False,
) -> Rule:
    """Less than `limit` in a column; the rest as in `above`."""
    return _limit(pc.less, "<", reason, column, limit, of, without_reference)


def _limit(
    compare: Callable[[pa.ChunkedArray, float], pa.ChunkedArray],
    sign: str,
    reason: str,
    column: str,
    limit: float,
    of: Literal["unit", "window", "utterance"],
    without_reference: bool,
) -> Rule:
    def drops(rows: pa.Table) -> pa.ChunkedArray:
        beyond = pc.fill_null(compare(rows.column(column), limit), False)
        if not without_reference:
            return beyond
        return pc.and_(beyond, pc.equal(rows.column("num_reference_words"), 0))

    return Rule(
        reason=reason,
        of=of,
        asks=(column, "num_reference_words") if without_reference else (column,),
        drops=drops,
        detail=lambda row: f"{column} {_shown(row[column])} {sign} {limit:g}",
    )


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.2f}"
