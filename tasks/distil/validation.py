"""The validation of a student: its word error rate on held-out speech."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from configs.schema import RunConfig
from storage.outcome import Rejected
from tasks.corpora.registry import corpus_of_run
from tasks.distil.validation_speech import ValidationSpeech
from tasks.evaluate.metrics import summarise
from tasks.evaluate.shard import measure_shard
from tasks.whisper.engine import Engine


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a student achieves on the validation speech.

    `wer_percent` is the macro-average over the sets, by which the paper (arXiv 2311.00430)
    chooses its checkpoints; NaN if nothing could be measured. `by_set` has the word error rate of
    each set, `num_utterances` were measured, and `excluded` counts the others by reason.
    """

    wer_percent: float
    by_set: Mapping[str, float | None]
    num_utterances: int
    excluded: Mapping[str, int]


def validate(config: RunConfig, student: Engine, speech: ValidationSpeech) -> Validation:
    """Transcribe and compare all of the validation speech, long recordings included."""
    by_set: dict[str, float | None] = {}
    num_utterances = 0
    excluded = Counter[str]()
    for name, batches in speech.items():
        measured: list[pa.Table] = []
        for outcome in measure_shard(
            batches,
            student,
            corpus_of_run(config, name.split("/")[0]).clean,
            config.label,
            config.score,
            num_threads=config.runtime.workers,
        ):
            if isinstance(outcome, pa.RecordBatch):
                measured.append(pa.Table.from_batches([outcome]))
            elif isinstance(outcome, Rejected):
                excluded[outcome.reason] += 1
        result = summarise(measured, model="student", num_parameters=0, decoder_layers=0)
        num_utterances += result.num_utterances
        by_set[name] = result.wer_percent
    rates = [rate for rate in by_set.values() if rate is not None]
    return Validation(
        wer_percent=sum(rates) / len(rates) if rates else math.nan,
        by_set=by_set,
        num_utterances=num_utterances,
        excluded=dict(sorted(excluded.items())),
    )
