"""The schema of the index of a downloaded file, archive or delivery."""

from typing import Final

import pyarrow as pa

INDEX: Final = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),  # in bytes, in the stored file
        pa.field("size", pa.int64(), nullable=False),  # in bytes
        pa.field("duration_s", pa.float64()),  # null: not stated in the header of the file
        pa.field("sha256", pa.string()),  # null: the receipt has that of the stored file
    ]
)
"""One row per member of a stored archive, so that members can be read individually.

For a delivery, which is not copied, one row per file.
"""
