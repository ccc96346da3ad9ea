"""What a rule is: a question to a whole table of evidence, and the words of its answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """`drops` takes a table of EVIDENCE to booleans, one a row, without nulls.

    `detail` says of a row that is dropped, as a mapping of columns, what was found.
    """

    reason: str
    drops: Callable[[pa.Table], pa.ChunkedArray]
    detail: Callable[[dict[str, Any]], str]
