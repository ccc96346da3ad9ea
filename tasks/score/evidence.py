"""The evidence on one window: reference and hypothesis normalised, and all that differs.

Knows texts and signals; knows no threshold.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from storage.schema import EVIDENCE
from tasks.text import character_error_percents, count_word_errors

SIGNALS = ("avg_logprob", "no_speech_prob", "compression_ratio")
"""What is carried over from the labels as it is."""


@dataclass(frozen=True, slots=True)
class ToCompare:
    """A row of LABELS whose `reference` is known: the cleaned texts of its utterances, joined."""

    label: dict[str, Any]
    reference: str


def evidence_batch(windows: Sequence[ToCompare], normalise: Callable[[str], str]) -> pa.RecordBatch:
    """A row of the schema EVIDENCE for each window, in the order given.

    A reference that normalises to nothing has neither a word nor a character error rate.
    """
    references = [normalise(window.reference) for window in windows]
    hypotheses = [normalise(window.label["pseudo_text"]) for window in windows]
    errors = count_word_errors(references, hypotheses)
    cer_percents = character_error_percents(references, hypotheses)
    rows = [
        {
            "window_id": window.label["window_id"],
            "utterance_ids": window.label["utterance_ids"],
            "duration_s": window.label["duration_s"],
            "reference": reference,
            "hypothesis": hypothesis,
            "num_reference_words": counted.num_reference_words,
            "hits": counted.hits,
            "substitutions": counted.substitutions,
            "deletions": counted.deletions,
            "insertions": counted.insertions,
            "wer_percent": counted.wer_percent,
            "cer_percent": cer_percent,
            **{signal: window.label[signal] for signal in SIGNALS},
        }
        for window, reference, hypothesis, counted, cer_percent in zip(
            windows, references, hypotheses, errors, cer_percents, strict=True
        )
    ]
    return pa.RecordBatch.from_pylist(rows, schema=EVIDENCE)
