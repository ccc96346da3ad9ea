"""The table of rejected rows, and the ids by which rows of any table are counted."""

from typing import Final

import pyarrow as pa

REJECTED: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),  # dropped | quarantined
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)
"""One row per rejected row, with its reason."""


def row_ids(batch: pa.RecordBatch | pa.Table) -> list[str]:
    """The ids that are counted: `utterance_ids` of windows, else `id`."""
    if "utterance_ids" in batch.schema.names:
        column = batch.column("utterance_ids")
        flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        ids: list[str] = flat.flatten().to_pylist()
        return ids
    return list(batch.column("id").to_pylist())
