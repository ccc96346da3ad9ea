"""Small indexes of utterances that were never made."""

from typing import Any

import pyarrow as pa

from flows.browse.part import UTTERANCES

Row = dict[str, Any]


def utterance(id: str, **changes: Any) -> Row:
    """A kept utterance, alone in its window."""
    return {
        "id": id,
        "corpus": "ami",
        "split": "train",
        "shard": 0,
        "outcome": "kept",
        "stage": "filter",
        "reason": "",
        "detail": "",
        "window_id": id,
        "window_utterances": 1,
        "raw_text": f"Words of {id}.",
        "label": f" words of {id}",
        "reference": f"words of {id}",
        "hypothesis": f"words of {id}",
        "wer_percent": 0.0,
        "insertions": 0,
        "deletions": 0,
        "duration_s": 2.0,
        "avg_logprob": -0.1,
        **changes,
    }


def index_of(*rows: Row) -> pa.Table:
    """The rows as a table of UTTERANCES."""
    return pa.Table.from_pylist(list(rows), schema=UTTERANCES)
