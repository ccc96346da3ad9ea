"""The table that the evaluate stage writes."""

from typing import Final

import pyarrow as pa

MEASURED: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # of its first in long form
        pa.field("utterance_ids", pa.list_(pa.field("item", pa.string(), nullable=False))),
        pa.field("speaker_id", pa.string()),  # null: unknown
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("reference", pa.string(), nullable=False),  # normalised
        pa.field("hypothesis", pa.string(), nullable=False),  # normalised
        pa.field("num_reference_words", pa.int32(), nullable=False),
        pa.field("hits", pa.int32(), nullable=False),
        pa.field("substitutions", pa.int32(), nullable=False),
        pa.field("deletions", pa.int32(), nullable=False),
        pa.field("insertions", pa.int32(), nullable=False),
        pa.field("num_reference_chars", pa.int32(), nullable=False),  # of the normalised texts
        pa.field("char_errors", pa.int32(), nullable=False),
        pa.field("snr_db", pa.float64()),  # measured after mixing; null: no noise was added
    ]
)
"""A row per utterance or recording of an evaluation split, for one model under one condition."""
