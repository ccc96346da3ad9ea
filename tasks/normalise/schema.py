"""The table that the normalise stage writes."""

import json
from typing import Final

import pyarrow as pa

from tasks.audio import SAMPLE_RATE_HZ

AUDIO: Final = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""A FLAC file in `bytes`, its name in `path`: the struct that `datasets.Audio` reads."""

_AUDIO_FEATURES: Final = {
    "info": {
        "features": {
            **{
                name: {"dtype": dtype, "_type": "Value"}
                for name, dtype in [
                    ("id", "string"),
                    ("corpus", "string"),
                    ("split", "string"),
                    ("recording_id", "string"),
                    ("speaker_id", "string"),
                    ("start_s", "float64"),
                    ("duration_s", "float64"),
                ]
            },
            # decode=false, so that `datasets` needs no torchcodec to read a shard
            "audio": {"sampling_rate": SAMPLE_RATE_HZ, "decode": False, "_type": "Audio"},
            "raw_text": {"dtype": "string", "_type": "Value"},
        }
    }
}

NORMALISED: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("recording_id", pa.string(), nullable=False),
        pa.field("speaker_id", pa.string()),  # null: unknown
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("audio", AUDIO),  # never null, but `datasets` does not support a non-null Audio
        pa.field("raw_text", pa.string(), nullable=False),
    ],
    metadata={"huggingface": json.dumps(_AUDIO_FEATURES)},
)
"""One row per utterance: its audio as FLAC and its transcript as distributed."""
