"""The declared schema of every table that is stored: a contract, never inferred."""

import json
from typing import Final

import pyarrow as pa

SAMPLE_RATE_HZ: Final = 16_000
"""The rate of every normalised shard, which is Whisper's own."""

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

NORMALISED: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("recording_id", pa.string(), nullable=False),
        pa.field("speaker_id", pa.string()),  # null: unknown, never shared with another row
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("audio", AUDIO),  # never null, but `datasets` knows no Audio that is declared so
        pa.field("raw_text", pa.string(), nullable=False),
    ],
    metadata={"huggingface": json.dumps(_AUDIO_FEATURES)},
)
"""A row per utterance: its audio as FLAC and its transcript as distributed."""

LABELS: Final = pa.schema(
    [
        pa.field("window_id", pa.string(), nullable=False),
        pa.field("utterance_ids", pa.list_(pa.string()), nullable=False),
        pa.field("offsets_s", pa.list_(pa.float64()), nullable=False),  # of each utterance
        pa.field("duration_s", pa.float64(), nullable=False),  # unpadded
        pa.field("pseudo_text", pa.string(), nullable=False),
        pa.field("pseudo_tokens", pa.list_(pa.int32()), nullable=False),  # with special tokens
        pa.field("previous_window_id", pa.string()),  # of the same speaker, same recording
        pa.field("avg_logprob", pa.float64(), nullable=False),
        pa.field("no_speech_prob", pa.float64(), nullable=False),
        pa.field("compression_ratio", pa.float64(), nullable=False),
        pa.field("temperature", pa.float64(), nullable=False),  # at which the kept answer was found
        # the checks that the kept answer fails, and `no_speech` where it is taken for silence
        pa.field("flags", pa.list_(pa.string()), nullable=False),
        pa.field("language", pa.string(), nullable=False),
    ]
)
"""A row per window: what the teacher heard; names as in Whisper's `DecodingResult`."""

_COMPARED: Final = [
    pa.field("reference", pa.string(), nullable=False),  # normalised
    pa.field("hypothesis", pa.string(), nullable=False),  # normalised
    pa.field("num_reference_words", pa.int32(), nullable=False),
    pa.field("hits", pa.int32(), nullable=False),
    pa.field("substitutions", pa.int32(), nullable=False),
    pa.field("deletions", pa.int32(), nullable=False),
    pa.field("insertions", pa.int32(), nullable=False),
    pa.field("wer_percent", pa.float64()),  # null: the reference has no words
    pa.field("cer_percent", pa.float64()),
    pa.field("most_repeats", pa.int32(), nullable=False),  # of a phrase that follows itself
    pa.field("compression_ratio", pa.float64(), nullable=False),
    pa.field("chars_per_s", pa.float64(), nullable=False),  # of the hypothesis, without spaces
    pa.field("words_per_s", pa.float64(), nullable=False),
    pa.field("is_upper_case", pa.bool_(), nullable=False),  # the label, where it has cased letters
    # of the letters of that side which has more, those of no script that the language is written in
    pa.field("foreign_percent", pa.float64(), nullable=False),
    pa.field("num_tokens", pa.int32(), nullable=False),  # of a window with special ones
]
"""What is found by holding a text beside its reference: of a window, and of what is in it."""

UTTERANCE_EVIDENCE: Final = pa.struct(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("speaker_id", pa.string()),  # null: unknown
        pa.field("start_s", pa.float64(), nullable=False),  # in the window
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("pseudo_text", pa.string(), nullable=False),  # its share of the window's
        pa.field("token_start", pa.int32(), nullable=False),  # of its text in `pseudo_tokens`
        pa.field("token_end", pa.int32(), nullable=False),  # behind the last one
        # whether the words there may belong to the neighbour as well
        pa.field("is_start_ambiguous", pa.bool_(), nullable=False),
        pa.field("is_end_ambiguous", pa.bool_(), nullable=False),
        # why its corpus gives no reference, and what stands there instead; null: it gives one
        pa.field("no_reference", pa.string()),
        *_COMPARED,
    ]
)
"""An utterance in a window; the tokens of what is between two are the timestamps there."""

EVIDENCE: Final = pa.schema(
    [
        pa.field("window_id", pa.string(), nullable=False),
        pa.field("utterance_ids", pa.list_(pa.string()), nullable=False),
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        *_COMPARED,
        pa.field("avg_logprob", pa.float64(), nullable=False),
        pa.field("no_speech_prob", pa.float64(), nullable=False),
        pa.field("flags", pa.list_(pa.string()), nullable=False),
        pa.field("num_prompt_tokens", pa.int32()),  # null: the window is one utterance, never cut
        pa.field("zero_time_id", pa.int32()),  # the timestamp 0.00; null as above, or no timestamps
        pa.field("utterances", pa.list_(UTTERANCE_EVIDENCE), nullable=False),
    ]
)
"""A row per window: everything a filter may ask, and no threshold.

A window that is one utterance has the same evidence twice, so that utterances are asked alike.
"""

COMPARED: Final = tuple(field.name for field in _COMPARED)
"""The columns that a window and an utterance share."""

IDENTITIES: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("text", pa.string()),  # normalised; null: the corpus has none for it
        pa.field("sound", pa.binary(16), nullable=False),  # MD5 of its samples as int16
    ]
)
"""A row per utterance: what it is told again by in another split or corpus."""

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

REJECTED: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),  # dropped | quarantined
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)
"""A row per row that did not come out, with its reason."""

MEASURED: Final = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("reference", pa.string(), nullable=False),
        pa.field("hypothesis", pa.string(), nullable=False),
        pa.field("num_reference_words", pa.int32(), nullable=False),
        pa.field("hits", pa.int32(), nullable=False),
        pa.field("substitutions", pa.int32(), nullable=False),
        pa.field("deletions", pa.int32(), nullable=False),
        pa.field("insertions", pa.int32(), nullable=False),
    ]
)
"""A row per utterance of an evaluation split, for one model."""


def row_ids(batch: pa.RecordBatch | pa.Table) -> list[str]:
    """The ids that the row law counts: of utterances, also those inside windows."""
    if "utterance_ids" in batch.schema.names:
        column = batch.column("utterance_ids")
        flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        ids: list[str] = flat.flatten().to_pylist()
        return ids
    return list(batch.column("id").to_pylist())
