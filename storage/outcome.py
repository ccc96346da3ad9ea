"""What becomes of a row: it comes out, or it is left out for a reason that is counted.

A transform is a pure generator: it takes the tables of its inputs and yields record batches of its
declared schema for what comes out, and a `Rejected` for each row that does not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that does not come out: `dropped` by a rule, or `quarantined` as unreadable or invalid.

    `reason` is a short snake_case word that is counted; `detail` is for the reader of the row.
    """

    id: str
    outcome: Literal["dropped", "quarantined"]
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Created:
    """Rows that have no counterpart in the input: pieces cut by voice-activity segmentation."""

    ids: tuple[str, ...]


Outcome: TypeAlias = pa.RecordBatch | Rejected | Created
Outcomes: TypeAlias = Iterator[Outcome]


def dropped(id: str, reason: str, detail: str = "") -> Rejected:
    """A row that a rule leaves out."""
    return Rejected(id, "dropped", reason, detail)


def quarantined(id: str, reason: str, detail: str = "") -> Rejected:
    """A row that cannot be read or is not valid."""
    return Rejected(id, "quarantined", reason, detail)
