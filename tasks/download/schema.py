"""The table of what a downloaded file or archive contains."""

from typing import Final

import pyarrow as pa

INDEX: Final = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),  # bytes, into the stored file
        pa.field("size", pa.int64(), nullable=False),  # bytes
        pa.field("duration_s", pa.float64()),  # null: not told by the first bytes of the file
        pa.field("sha256", pa.string()),  # null: the stored file that holds it has a receipt
    ]
)
"""A row per member of a stored archive, so that one can be read without the others.

Of a delivery, which is not copied, a row per file.
"""
