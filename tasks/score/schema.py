"""The table that the score stage writes."""

from typing import Final

import pyarrow as pa

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
    pa.field("most_repeats", pa.int32(), nullable=False),  # consecutive, of one phrase
    pa.field("compression_ratio", pa.float64(), nullable=False),
    pa.field("chars_per_s", pa.float64(), nullable=False),  # of the hypothesis, without spaces
    pa.field("words_per_s", pa.float64(), nullable=False),
    pa.field("is_upper_case", pa.bool_(), nullable=False),  # the label; False without cased letters
    # share of letters in a foreign script; the larger of reference and hypothesis
    pa.field("foreign_percent", pa.float64(), nullable=False),
    pa.field("num_tokens", pa.int32(), nullable=False),  # for a window including special tokens
]
"""The comparison of a label with its reference, for a window and for each of its utterances."""

UTTERANCE_EVIDENCE: Final = pa.struct(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("speaker_id", pa.string()),  # null: unknown
        pa.field("start_s", pa.float64(), nullable=False),  # in the window
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("pseudo_text", pa.string(), nullable=False),  # its part of the window's label
        pa.field("token_start", pa.int32(), nullable=False),  # of its text in `pseudo_tokens`
        pa.field("token_end", pa.int32(), nullable=False),  # exclusive
        # whether words at that end may belong to the neighbouring utterance instead
        pa.field("is_start_ambiguous", pa.bool_(), nullable=False),
        pa.field("is_end_ambiguous", pa.bool_(), nullable=False),
        # why the corpus has no reference, and its transcript instead; null if it has one
        pa.field("no_reference", pa.string()),
        *_COMPARED,
    ]
)
"""An utterance in a window; the tokens between two utterances are timestamps."""

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
        pa.field("num_prompt_tokens", pa.int32()),  # null: a single utterance, which is never cut
        pa.field("zero_time_id", pa.int32()),  # the timestamp 0.00; null as above, or no timestamps
        pa.field("utterances", pa.list_(UTTERANCE_EVIDENCE), nullable=False),
    ]
)
"""A row per window: everything that a filter rule may use, independent of thresholds.

A window with a single utterance stores the same evidence twice, so that rules treat all utterances
alike.
"""

COMPARED: Final = tuple(field.name for field in _COMPARED)
"""The columns that a window and an utterance share."""
