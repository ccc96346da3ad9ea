"""The table that the plan stage writes."""

from typing import Final

import pyarrow as pa

PLAN: Final = pa.schema(
    [
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("recording_id", pa.string(), nullable=False),
        pa.field("speaker_id", pa.string()),
        pa.field("file", pa.string(), nullable=False),  # a stored file, or mirror:{path}
        pa.field("offset", pa.int64(), nullable=False),  # in bytes, of the audio file inside `file`
        pa.field("size", pa.int64(), nullable=False),  # in bytes
        pa.field("column", pa.string()),  # null unless the audio is in a Parquet file
        pa.field("row", pa.int64()),  # in that Parquet file, from 0
        pa.field("channel", pa.int32(), nullable=False),  # from 0
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("end_s", pa.float64()),  # null: the end of the file
        # (start, end) of each part to be concatenated; null: from start_s to end_s
        pa.field("pieces_s", pa.list_(pa.list_(pa.float64(), 2))),
        pa.field("raw_text", pa.string(), nullable=False),
    ]
)
"""One row per annotated segment: its shard and the location of its audio."""
