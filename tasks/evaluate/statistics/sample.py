"""The utterances of one model, set and condition as numbers, which all statistics start from."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tasks.evaluate.schema import MEASURED
from tasks.evaluate.statistics.rates import num_repeated_5grams
from tasks.text.comparison import WordErrors

Counts = npt.NDArray[np.int64]
Sums = npt.NDArray[np.float64]

COLUMNS: Final = (
    "id",
    "speaker_id",
    "duration_s",
    "hypothesis",
    "hits",
    "substitutions",
    "deletions",
    "insertions",
    "num_reference_chars",
    "char_errors",
)
"""The columns of MEASURED that a sample is made of."""


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Sample:
    """What one model made of one set, `corpus/split`, under one condition.

    `ids`, `words` and `errors` have an item per utterance (a recording in long form), by id:
    reference words and word errors. `speakers` is the index of its speaker in `speaker_names`; an
    utterance of an unknown speaker has one of its own. The rest are sums over all utterances.
    """

    model: str
    condition: str
    set: str
    ids: npt.NDArray[np.object_]
    speakers: npt.NDArray[np.intp]
    speaker_names: npt.NDArray[np.object_]
    words: Counts
    errors: Counts
    total: WordErrors
    num_reference_chars: int
    char_errors: int
    duration_s: float
    num_repeated_5grams: int

    @classmethod
    def of(cls, tables: Iterable[pa.Table], *, model: str, condition: str, set: str) -> Self:
        """All shards of a set, as tables with at least `COLUMNS`.

        Raises `ValueError` if an utterance is there twice.
        """
        nothing = MEASURED.empty_table().select(COLUMNS)
        table = pa.concat_tables([nothing, *(one.select(COLUMNS) for one in tables)])
        ids = _column(table, "id")
        names = [
            f"utterance {one}" if speaker is None else f"speaker {speaker}"
            for one, speaker in zip(ids, table.column("speaker_id").to_pylist(), strict=True)
        ]
        counts = {
            one: _column(table, one).astype(np.int64)
            for one in ("hits", "substitutions", "deletions", "insertions")
        }
        order = np.argsort(ids, kind="stable")
        ids = ids[order]
        if (twice := np.flatnonzero(ids[1:] == ids[:-1])).size:
            raise ValueError(f"{ids[twice[0]]} is twice in the results of {model} on {set}")
        speaker_names, speakers = np.unique(np.array(names, object)[order], return_inverse=True)
        return cls(
            model=model,
            condition=condition,
            set=set,
            ids=ids,
            speakers=speakers,
            speaker_names=speaker_names,
            words=(counts["hits"] + counts["substitutions"] + counts["deletions"])[order],
            errors=(counts["substitutions"] + counts["deletions"] + counts["insertions"])[order],
            total=WordErrors(**{name: int(column.sum()) for name, column in counts.items()}),
            num_reference_chars=int(_sum(table, "num_reference_chars")),
            char_errors=int(_sum(table, "char_errors")),
            duration_s=_sum(table, "duration_s"),
            num_repeated_5grams=num_repeated_5grams(table.column("hypothesis").to_pylist()),
        )

    @property
    def corpus(self) -> str:
        """The corpus of the set."""
        return self.set.partition("/")[0]

    @property
    def has_words(self) -> bool:
        """Whether there are reference words, without which there are no rates."""
        return self.total.num_reference_words > 0

    @property
    def by_speaker(self) -> tuple[Sums, Sums]:
        """Word errors and reference words of each speaker."""
        return sums(self.speakers, self.errors), sums(self.speakers, self.words)


def sums(units: npt.NDArray[np.intp], counts: Counts | Sums) -> Sums:
    """The sum of the counts of each unit: 0, 1 and so on."""
    return np.bincount(units, counts).astype(np.float64)


def _column(table: pa.Table, name: str) -> npt.NDArray[Any]:
    column: npt.NDArray[Any] = table.column(name).to_numpy()
    return column


def _sum(table: pa.Table, name: str) -> float:
    found: float | None = pc.sum(table.column(name)).as_py()
    return found or 0.0
