"""Rows of evidence with something sound in every column, for tests to change."""

from typing import Any

import pyarrow as pa

from tasks.corpora.base import Licence
from tasks.filter.rules import FilterContext
from tasks.score.schema import EVIDENCE

Row = dict[str, Any]

FREE = Licence(name="CC0-1.0", commercial_use=True, derivatives=True, redistribution=True)
KNOWN = FilterContext(licence=FREE)

COMPARED: Row = {
    "duration_s": 2.0,
    "reference": "a b",
    "hypothesis": "a b",
    "num_reference_words": 2,
    "hits": 2,
    "substitutions": 0,
    "deletions": 0,
    "insertions": 0,
    "wer_percent": 0.0,
    "cer_percent": 0.0,
    "most_repeats": 1,
    "compression_ratio": 1.0,
    "chars_per_s": 10.0,
    "words_per_s": 2.0,
    "is_upper_case": False,
    "foreign_percent": 0.0,
    "num_tokens": 8,
}

SILENT: Row = {"reference": "", "num_reference_words": 0, "hits": 0, "wer_percent": None}


def utterance(name: str, wer_percent: float | None = 0.0, **changes: Any) -> Row:
    """An utterance in a window."""
    return {
        **COMPARED,
        "id": name,
        "speaker_id": "ann",
        "start_s": 0.0,
        "pseudo_text": f"A {name}",
        "token_start": 3,
        "token_end": 5,
        "is_start_ambiguous": False,
        "is_end_ambiguous": False,
        "no_reference": None,
        "wer_percent": wer_percent,
        **changes,
    }


def evidence(
    name: str,
    wer_percent: float | None = 0.0,
    utterances: list[Row] | None = None,
    **changes: Any,
) -> Row:
    """A window; of one utterance that has the same evidence, unless others are given."""
    window = {**COMPARED, "wer_percent": wer_percent, **changes}
    shared = {key: value for key, value in window.items() if key in COMPARED}
    members = utterances or [utterance(name, **shared)]
    return {
        "window_id": name,
        "utterance_ids": [one["id"] for one in members],
        "language": "en",
        "avg_logprob": -0.1,
        "no_speech_prob": 0.0,
        "flags": [],
        "num_prompt_tokens": 3,
        "zero_time_id": None,
        "utterances": members,
        **window,
    }


def table(rows: list[Row]) -> pa.Table:
    """The rows as a table of EVIDENCE."""
    return pa.Table.from_pylist(rows, schema=EVIDENCE)
