"""The stored report on a teacher and its student; reading it needs no model."""

from collections.abc import Mapping, Sequence
from typing import Final

from storage.fingerprint import digest
from storage.receipt import Receipt
from storage.record import Record
from storage.store import Store
from tasks.evaluate.coverage import Coverage
from tasks.evaluate.findings import (
    Average,
    Claim,
    Comparison,
    ModelFacts,
    NonSpeech,
    Robustness,
    SetResult,
    SpeculativeResult,
    SpeedResult,
)
from tasks.evaluate.metrics import ModelResult

Measured = Mapping[str, Sequence[Receipt]]
"""Receipts of evaluated shards, by corpus."""


METRICS: Final = (
    *ModelResult.model_fields,
    "relative_speed",
    "by_corpus",
    "by_split",
    "mean_wer_percent",
    "coverage",
    "coverage_by_corpus",
)
"""What a report contains. It is part of its path, so that a new metric makes a new report."""


class Report(Record):
    """Both models on the same held-out speech; rates are WER in percent, by model.

    `by_split` has a split as `corpus/split`. `mean_wer_percent` is the macro-average over splits,
    by which training selects weights on validation speech. `coverage` states how many utterances
    that is of those in the evaluated splits, and for which reasons the others are excluded; it is
    the same for both models.
    """

    metrics: tuple[str, ...] = METRICS
    teacher: ModelResult
    student: ModelResult
    relative_speed: float  # of the student, teacher = 1
    by_corpus: Mapping[str, Mapping[str, float | None]]
    by_split: Mapping[str, Mapping[str, float | None]] = {}
    mean_wer_percent: Mapping[str, float | None] = {}
    coverage: Coverage
    coverage_by_corpus: Mapping[str, Coverage]
    student_folder: str
    models: tuple[ModelFacts, ...] = ()
    sets: tuple[SetResult, ...] = ()
    averages: tuple[Average, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    robustness: tuple[Robustness, ...] = ()
    speed: tuple[SpeedResult, ...] = ()
    speculative: tuple[SpeculativeResult, ...] = ()
    non_speech: tuple[NonSpeech, ...] = ()
    claims: tuple[Claim, ...] = ()


def report_path(
    name: str, teacher: Measured, student: Measured, coverage: Mapping[str, Coverage]
) -> str:
    """The path of the report on exactly these measurements, with exactly these `METRICS`."""
    outputs = [
        [
            [receipt.fingerprint, receipt.output.sha256]
            for receipts in measured.values()
            for receipt in receipts
        ]
        for measured in (teacher, student)
    ]
    covered = {corpus: one.model_dump() for corpus, one in coverage.items()}
    return f"reports/{name}/{digest([METRICS, outputs, covered])[:16]}.json"


def load_report(store: Store, path: str) -> Report | None:
    """The report at `path`, or None."""
    try:
        return Report.parse(store.read(path), path)
    except FileNotFoundError:
        return None
