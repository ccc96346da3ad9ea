"""The table that the plan stage writes."""

from typing import Final

import pyarrow as pa

PLAN: Final = pa.schema(
    [
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("recording_id", pa.string(), nullable=False),
        pa.field("speaker_id", pa.string()),
        pa.field("file", pa.string(), nullable=False),  # of the raw store, or `mirror:` a delivery
        pa.field("offset", pa.int64(), nullable=False),  # bytes, of the audio file inside `file`
        pa.field("size", pa.int64(), nullable=False),  # bytes
        pa.field("column", pa.string()),  # null unless the audio is a value of a Parquet file
        pa.field("row", pa.int64()),  # of that value, from 0
        pa.field("channel", pa.int32(), nullable=False),  # from 0
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("end_s", pa.float64()),  # null: to the end of the file
        # start and end of each stretch that is heard, one after the other; null: all of it
        pa.field("pieces_s", pa.list_(pa.list_(pa.float64(), 2))),
        pa.field("raw_text", pa.string(), nullable=False),
    ]
)
"""A row per annotated segment: the shard it belongs to and the bytes that hold its audio."""
