"""The schema of the index of a downloaded file, archive or delivery."""

from typing import Final

import pyarrow as pa

BLOCK_BYTES: Final = 1 << 20
WHOLE_BYTES: Final = 16 << 20
"""Members up to this size are only read, and checked, as a whole."""

INDEX: Final = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),  # in bytes, in the stored file
        pa.field("size", pa.int64(), nullable=False),  # in bytes
        pa.field("duration_s", pa.float64()),  # null: not stated in the header of the file
        pa.field("sha256", pa.string()),  # of the member; null in indexes written by old versions
        # the SHA-256 digests, 32 bytes each, of every BLOCK_BYTES of a member of more than
        # WHOLE_BYTES, of which parts are read; old indexes have no such column
        pa.field("blocks", pa.binary()),
    ]
)
"""One row per member of a stored archive, so that members can be read and checked individually.

A file that is not an archive is its only member. For a delivery, which is not copied, one row per
file.
"""
