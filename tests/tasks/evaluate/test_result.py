"""Where a report is stored, and what it says it contains."""

from dataclasses import replace

import pytest

from configs.schema import RunConfig
from storage.receipt import Counts, FileRef, Receipt
from storage.shard import ShardKey
from tasks.evaluate import result
from tasks.evaluate.coverage import Coverage
from tasks.evaluate.findings import CLEAN
from tasks.evaluate.models import MeasuredModel
from tasks.evaluate.result import METRICS, Evaluation, Measured, Report

CONFIG = RunConfig.model_validate(
    {
        "root": "data",
        "corpora": {"librispeech": {}},
        "label": {"teacher": {"path": "unused"}},
        "publish": {"name": "tiny"},
    }
)
RECEIPT = Receipt(
    stage="evaluate", fingerprint="f", key=ShardKey("librispeech", "test-clean", 0),
    source_digest="0" * 64, counts=Counts(),
    output=FileRef(path="evaluate/x.parquet", sha256="1" * 64, size_bytes=1),
)  # fmt: skip
EVALUATION = Evaluation(
    models=(
        MeasuredModel(name="teacher", identity="a"),
        MeasuredModel(name="student", identity="b"),
    ),
    measured=tuple(Measured(name, CLEAN, RECEIPT) for name in ("teacher", "student")),
    audio=(),
    coverage={"librispeech": Coverage(num_annotated=3, num_utterances=2, excluded={"no_audio": 1})},
    trained_on=("librispeech",),
)


def test_a_new_metric_makes_a_new_report(monkeypatch: pytest.MonkeyPatch) -> None:
    before = EVALUATION.path(CONFIG)
    assert EVALUATION.path(CONFIG) == before
    monkeypatch.setattr(result, "METRICS", (*METRICS, "lattice_wer_percent"))
    assert EVALUATION.path(CONFIG) != before


def test_other_exclusions_make_a_new_report() -> None:
    """Files without a usable utterance add to the plan, but change no measurement."""
    more = {"librispeech": Coverage(num_annotated=4, num_utterances=2, excluded={"no_audio": 2})}
    assert replace(EVALUATION, coverage=more).path(CONFIG) != EVALUATION.path(CONFIG)


def test_other_training_corpora_make_a_new_report() -> None:
    """A set is in or out of domain by the corpora of the training."""
    assert replace(EVALUATION, trained_on=()).path(CONFIG) != EVALUATION.path(CONFIG)


def test_other_settings_of_the_timing_make_a_new_report() -> None:
    evaluate = CONFIG.evaluate.model_copy(update={"num_timing_rounds": 7})
    longer = CONFIG.model_copy(update={"evaluate": evaluate})
    assert EVALUATION.path(longer) != EVALUATION.path(CONFIG)


def test_a_report_names_its_metrics() -> None:
    assert {"wer_percent", "relative_speed", "num_utterances", "coverage"} <= set(METRICS)
    assert Report.model_fields["metrics"].default == METRICS
