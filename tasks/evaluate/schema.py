"""The table that the evaluate stage writes."""

from typing import Final

import pyarrow as pa

MEASURED: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("reference", pa.string(), nullable=False),  # normalised
        pa.field("hypothesis", pa.string(), nullable=False),  # normalised
        pa.field("num_reference_words", pa.int32(), nullable=False),
        pa.field("hits", pa.int32(), nullable=False),
        pa.field("substitutions", pa.int32(), nullable=False),
        pa.field("deletions", pa.int32(), nullable=False),
        pa.field("insertions", pa.int32(), nullable=False),
    ]
)
"""A row per utterance of an evaluation split, for one model."""
