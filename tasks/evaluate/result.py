"""The stored report on a teacher and its student; reading it needs no model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from configs.schema import RunConfig
from storage.fingerprint import digest
from storage.receipt import FileRef, Receipt
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
from tasks.evaluate.models import MeasuredModel
from tasks.evaluate.statistics.pooled import ModelResult


@dataclass(frozen=True, slots=True)
class Measured:
    """A shard that one model transcribed under one condition."""

    model: str
    condition: str
    receipt: Receipt

    @property
    def set(self) -> str:
        """`corpus/split`."""
        return f"{self.receipt.key.corpus}/{self.receipt.key.split}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """All measurements of a run, and what a report on them needs besides.

    `models` are the measured ones, teacher and student first; `audio` the normalised shards, each
    with its set; `trained_on` the corpora that the student was trained on.
    """

    models: Sequence[MeasuredModel]
    measured: Sequence[Measured]
    audio: Sequence[tuple[str, FileRef]]
    coverage: Mapping[str, Coverage]
    trained_on: Sequence[str]

    def model(self, name: str) -> MeasuredModel:
        """The model of a name; raises `KeyError`."""
        return {one.name: one for one in self.models}[name]

    def path(self, config: RunConfig) -> str:
        """The path of the report on exactly these measurements, with exactly these `METRICS`."""
        outputs = [
            [one.model, one.condition, one.receipt.fingerprint, one.receipt.output.sha256]
            for one in self.measured
        ]
        covered = {corpus: one.model_dump() for corpus, one in self.coverage.items()}
        settings = config.evaluate.model_dump(mode="json")
        content = digest([METRICS, outputs, covered, settings, sorted(self.trained_on)])
        return f"reports/{config.publish.name}/{content[:16]}.json"


_ROWS: Final = (
    ModelFacts,
    SetResult,
    Average,
    Comparison,
    Robustness,
    SpeedResult,
    SpeculativeResult,
    NonSpeech,
    Claim,
)
METRICS: Final = (
    *ModelResult.model_fields,
    "relative_speed",
    "by_corpus",
    "by_split",
    "mean_wer_percent",
    "coverage",
    "coverage_by_corpus",
    *(f"{row.__name__}.{name}" for row in _ROWS for name in row.model_fields),
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


def load_report(store: Store, path: str) -> Report | None:
    """The report at `path`, or None."""
    try:
        return Report.parse(store.read(path), path)
    except FileNotFoundError:
        return None
