"""The table that the index stage writes."""

from typing import Final

import pyarrow as pa

IDENTITIES: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("text", pa.string()),  # normalised; null: the corpus has none for it
        pa.field("sound", pa.binary(16), nullable=False),  # MD5 of its samples as int16
    ]
)
"""A row per utterance: what it is told again by in another split or corpus."""
