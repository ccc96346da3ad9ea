"""The validation of a student: its word error rate on held-out speech."""

import math
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from configs.schema import RunConfig
from storage.outcome import Rejected
from storage.receipt import FileRef
from storage.store import Store
from tasks.audio import SAMPLE_RATE_HZ
from tasks.corpora.registry import corpus_of_run
from tasks.evaluate.metrics import summarise
from tasks.evaluate.shard import measure_shard
from tasks.job import row_batches
from tasks.whisper.engine import Engine

_BATCH_ROWS: Final = 16


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What a student achieves on the validation speech.

    `wer_percent` is the macro-average over the corpora, by which the paper (arXiv 2311.00430)
    chooses its checkpoints; NaN if nothing could be measured. `num_utterances` were measured, and
    `excluded` counts the others by reason.
    """

    wer_percent: float
    num_utterances: int
    excluded: Mapping[str, int]


ValidationSpeech = Mapping[str, Sequence[pa.RecordBatch]]
"""Corpus to normalised utterances (NORMALISED)."""


def read_validation_speech(
    store: Store, files: Sequence[tuple[str, FileRef]], *, num_windows: int, window_samples: int
) -> ValidationSpeech:
    """The first utterances of each corpus, as many as fill its share of `num_windows`.

    `files` are normalised shards, each with its corpus; all corpora have equal shares. An utterance
    longer than a window counts as several windows, so that neither memory nor time depend on
    the length of the recordings, and is never skipped.
    """
    by_corpus: dict[str, list[FileRef]] = {}
    for corpus, file in files:
        by_corpus.setdefault(corpus, []).append(file)
    num_per_corpus = -(-num_windows // max(1, len(by_corpus)))
    window_s = window_samples / SAMPLE_RATE_HZ
    return {
        corpus: _first_utterances(store, of_corpus, num_per_corpus, window_s)
        for corpus, of_corpus in by_corpus.items()
    }


def _first_utterances(
    store: Store, files: Sequence[FileRef], num_windows: int, window_s: float
) -> list[pa.RecordBatch]:
    found: list[pa.RecordBatch] = []
    missing = num_windows
    with closing(_batches(store, files)) as batches:
        for batch in batches:
            windows = np.ceil(batch.column("duration_s").to_numpy() / window_s)
            num_before = np.cumsum(windows) - windows
            found.append(batch.slice(0, int(np.count_nonzero(num_before < missing))))
            missing -= int(windows.sum())
            if missing <= 0:
                break
    return found


def _batches(store: Store, files: Sequence[FileRef]) -> Generator[pa.RecordBatch, None, None]:
    for file in files:
        with store.fetch(file) as path:
            yield from row_batches(pq.ParquetFile(path, pre_buffer=False), _BATCH_ROWS)


def validate(config: RunConfig, student: Engine, speech: ValidationSpeech) -> Validation:
    """Transcribe and compare all of the validation speech, long recordings included."""
    rates: list[float] = []
    num_utterances = 0
    excluded = Counter[str]()
    for corpus, batches in speech.items():
        measured: list[pa.Table] = []
        for outcome in measure_shard(
            batches,
            student,
            corpus_of_run(config, corpus).clean,
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
        if result.wer_percent is not None:
            rates.append(result.wer_percent)
    return Validation(
        wer_percent=sum(rates) / len(rates) if rates else math.nan,
        num_utterances=num_utterances,
        excluded=dict(sorted(excluded.items())),
    )
