"""The table that the filter stage writes."""

from typing import Final

import pyarrow as pa

CUT: Final = pa.struct(
    [
        pa.field("pseudo_text", pa.string()),  # of the kept utterances
        pa.field("num_prompt_tokens", pa.int32()),
        pa.field("zero_time_id", pa.int32()),  # the token of timestamp 0.00; null: no timestamps
        # start and end of the text of each kept utterance in `pseudo_tokens`
        pa.field("token_spans", pa.list_(pa.list_(pa.int32(), 2))),
    ]
)
"""How a label is cut down to its kept utterances."""

KEPT: Final = pa.schema(
    [
        pa.field("window_id", pa.string(), nullable=False),
        pa.field("utterance_ids", pa.list_(pa.string()), nullable=False),
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("cut", CUT),  # null: the window is whole
    ]
)
"""One row per kept window. Dropped utterances are in the file of rejected rows beside it."""
