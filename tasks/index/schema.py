"""The table that the index stage writes."""

from typing import Final

import pyarrow as pa

IDENTITIES: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("text", pa.string()),  # normalised; null: no reference
        pa.field("sound", pa.binary(16), nullable=False),  # MD5 of the samples as int16
    ]
)
"""One row per utterance: text and audio fingerprints for finding duplicates."""
