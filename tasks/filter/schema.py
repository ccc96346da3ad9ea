"""The table that the filter stage writes."""

from typing import Final

import pyarrow as pa

CUT: Final = pa.struct(
    [
        pa.field("pseudo_text", pa.string()),  # of what is left
        pa.field("num_prompt_tokens", pa.int32()),
        pa.field("zero_time_id", pa.int32()),  # the timestamp 0.00; null: labels are without
        # where in `pseudo_tokens` the text of each utterance that is left stands
        pa.field("token_spans", pa.list_(pa.list_(pa.int32(), 2))),
    ]
)
"""How a label is cut down to the utterances that are left."""

KEPT: Final = pa.schema(
    [
        pa.field("window_id", pa.string(), nullable=False),
        pa.field("utterance_ids", pa.list_(pa.string()), nullable=False),
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("cut", CUT),  # null: the window is whole
    ]
)
"""A row per kept window; what is dropped stands with its reasons in the file beside it."""
