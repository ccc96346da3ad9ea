"""The outcome of each row: written to the output, or rejected for a counted reason.

A transform is a pure generator. It takes its input tables and yields record batches of its declared
schema for output rows, and a `Rejected` for every other row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row without output: `dropped` by a rule, or `quarantined` as unreadable or invalid.

    `reason` is a short snake_case word that is counted; `detail` explains this one row.
    """

    id: str
    outcome: Literal["dropped", "quarantined"]
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Created:
    """Ids of output rows that have no input row, such as segments cut from a longer recording."""

    ids: tuple[str, ...]


Outcome: TypeAlias = pa.RecordBatch | Rejected | Created
Outcomes: TypeAlias = Iterator[Outcome]


def dropped(id: str, reason: str, detail: str = "") -> Rejected:
    """A row rejected by a rule."""
    return Rejected(id, "dropped", reason, detail)


def quarantined(id: str, reason: str, detail: str = "") -> Rejected:
    """A row that is unreadable or invalid."""
    return Rejected(id, "quarantined", reason, detail)
