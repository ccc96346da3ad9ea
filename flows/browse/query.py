"""Filters and sorts utterances: which rows of the index a listener wants to see."""

from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Annotated, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from configs.marks import Decided

Rows = npt.NDArray[np.int64]
MarkedRows = Mapping[int, Decided]
"""Row number to mark."""

_SORTS: Final[Mapping[str, tuple[str, Literal["ascending", "descending"]]]] = {
    "wer": ("wer_percent", "descending"),
    "insertions": ("insertions", "descending"),
    "deletions": ("deletions", "descending"),
    "confidence": ("avg_logprob", "ascending"),
    "longest": ("duration_s", "descending"),
    "shortest": ("duration_s", "ascending"),
}
_SEARCHED: Final = ("id", "speaker_id", "raw_text", "label")
_SHOWN: Final = (
    "id", "corpus", "outcome", "reason", "wer_percent", "insertions", "duration_s", "raw_text",
    "label",
)  # fmt: skip
_MAX_CHARS: Final = 240  # of a text in a list
_NUM_CACHED: Final = 8


class Query(BaseModel):
    """What to list; null: whatever it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    corpus: str | None = None
    outcome: str | None = None
    reason: str | None = None
    mark: Literal["any", "exclude", "keep"] | None = None
    min_wer: float | None = None  # percent; rows without a rate are left out
    max_wer: float | None = None
    text: str = ""  # in the id, the speaker, the transcript or the label, in any case
    sort: Literal[
        "stored", "wer", "insertions", "deletions", "confidence", "longest", "shortest"
    ] = "stored"


class Slice(BaseModel):
    """Which of the rows that a query finds to return."""

    model_config = ConfigDict(frozen=True)

    offset: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=0, le=500)] = 100


class UtteranceIndex:
    """The utterances of a run (UTTERANCES), by their row numbers."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        texts = [pc.fill_null(table[name], "") for name in _SEARCHED]
        self._searched = pc.utf8_lower(pc.binary_join_element_wise(*texts, "\n"))
        self._found: OrderedDict[tuple[Query, frozenset[int]], Rows] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def row(self, number: int) -> dict[str, Any]:
        """All that is known of an utterance."""
        [row] = self.table.slice(number, 1).to_pylist()
        return dict(row)

    def window(self, row: Mapping[str, Any]) -> list[int]:
        """The rows of all utterances in the window of a row, itself included."""
        window = row["window_id"]
        if window is None:
            return []
        is_member = pc.equal(self.table["window_id"], window)
        is_member = pc.and_(is_member, pc.equal(self.table["corpus"], row["corpus"]))
        is_member = pc.and_(is_member, pc.equal(self.table["split"], row["split"]))
        numbers: list[int] = pc.indices_nonzero(is_member).to_pylist()
        return numbers

    def rows_of(self, marks: Mapping[tuple[str, str], Decided]) -> MarkedRows:
        """The rows that are marked by their corpus and id, or by that of their window."""
        if not marks:
            return {}
        names = pa.array(sorted({name for _, name in marks}), pa.string())
        found: dict[int, Decided] = {}
        for column in ("window_id", "id"):  # the mark of an utterance is the more exact one
            numbers = pc.indices_nonzero(pc.is_in(self.table[column], names))
            keys = self.table.select(["corpus", column]).take(numbers).to_pylist()
            for number, key in zip(numbers.to_pylist(), keys, strict=True):
                if (mark := marks.get((key["corpus"], key[column]))) is not None:
                    found[number] = mark
        return found

    def find(self, query: Query, marked: MarkedRows) -> Rows:
        """The numbers of the rows that a query asks for, in its order; nulls are last."""
        wanted = frozenset(_wanted(query, marked))
        key = (query, wanted)
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        rows = self._sorted(query, self._matching(query, wanted))
        with self._lock:
            self._found[key] = rows
            while len(self._found) > _NUM_CACHED:
                self._found.popitem(last=False)
        return rows

    def shown(self, rows: Rows, marked: MarkedRows) -> list[dict[str, Any]]:
        """What a list shows of rows, each with its number."""
        table = self.table.select(list(_SHOWN)).take(pa.array(rows))
        return [
            {
                **{name: row[name] for name in _SHOWN[:-2]},
                "row": number,
                "text": (row["label"] or row["raw_text"] or "").strip()[:_MAX_CHARS],
                "mark": marked.get(number),
            }
            for number, row in zip(rows.tolist(), table.to_pylist(), strict=True)
        ]

    def counts(self) -> list[dict[str, Any]]:
        """How many rows each corpus has of each outcome and reason."""
        keys = ["corpus", "outcome", "stage", "reason"]
        counted = self.table.group_by(keys).aggregate([([], "count_all")])
        return list(counted.sort_by([(name, "ascending") for name in keys]).to_pylist())

    def _matching(self, query: Query, wanted: frozenset[int]) -> Rows:
        conditions = [
            pc.equal(self.table[name], value)
            for name in ("corpus", "outcome", "reason")
            if (value := getattr(query, name)) is not None
        ]
        if query.min_wer is not None:
            conditions.append(pc.greater_equal(self.table["wer_percent"], query.min_wer))
        if query.max_wer is not None:
            conditions.append(pc.less_equal(self.table["wer_percent"], query.max_wer))
        if text := query.text.strip().lower():
            conditions.append(pc.match_substring(self._searched, text))
        is_found = np.ones(len(self), np.bool_)
        for condition in conditions:
            is_found &= pc.fill_null(condition, False).to_numpy()
        if query.mark is not None:
            is_marked = np.zeros(len(self), np.bool_)
            is_marked[list(wanted)] = True
            is_found &= is_marked
        return np.flatnonzero(is_found)

    def _sorted(self, query: Query, rows: Rows) -> Rows:
        if query.sort not in _SORTS:
            return rows
        column, order = _SORTS[query.sort]
        values = self.table[column].take(pa.array(rows))
        places: Rows = pc.array_sort_indices(values, order=order).to_numpy().astype(np.int64)
        return rows[places]


def _wanted(query: Query, marked: MarkedRows) -> list[int]:
    if query.mark is None:
        return []
    return [row for row, mark in marked.items() if query.mark in ("any", mark)]
