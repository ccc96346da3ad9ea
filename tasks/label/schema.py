"""The table that the label stage writes."""

from typing import Final

import pyarrow as pa

LABELS: Final = pa.schema(
    [
        pa.field("window_id", pa.string(), nullable=False),
        pa.field("utterance_ids", pa.list_(pa.string()), nullable=False),
        pa.field("offsets_s", pa.list_(pa.float64()), nullable=False),  # start of each utterance
        pa.field("duration_s", pa.float64(), nullable=False),  # unpadded
        pa.field("pseudo_text", pa.string(), nullable=False),
        pa.field("pseudo_tokens", pa.list_(pa.int32()), nullable=False),  # with special tokens
        pa.field("previous_window_id", pa.string()),  # of the same speaker, same recording
        pa.field("avg_logprob", pa.float64(), nullable=False),
        pa.field("no_speech_prob", pa.float64(), nullable=False),
        pa.field("compression_ratio", pa.float64(), nullable=False),
        pa.field("temperature", pa.float64(), nullable=False),  # of the final decoding attempt
        # segments between timestamps, 1 without timestamps
        pa.field("num_segments", pa.int32(), nullable=False),
        pa.field("last_segment_end_s", pa.float64()),  # null: no timestamp closes the label
        # the quality checks that the final attempt fails, and `no_speech` for silence
        pa.field("flags", pa.list_(pa.string()), nullable=False),
        pa.field("language", pa.string(), nullable=False),
    ]
)
"""A row per window: the teacher's transcript; names as in Whisper's `DecodingResult`."""
