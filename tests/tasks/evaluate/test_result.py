"""Where a report is stored, and what it says it contains."""

import pytest

from storage.receipt import Counts, FileRef, Receipt
from storage.shard import ShardKey
from tasks.evaluate import result
from tasks.evaluate.coverage import Coverage
from tasks.evaluate.result import METRICS, Report, report_path

MEASURED = {
    "librispeech": [
        Receipt(
            stage="evaluate", fingerprint="f", key=ShardKey("librispeech", "test-clean", 0),
            source_digest="0" * 64, counts=Counts(),
            output=FileRef(path="evaluate/x.parquet", sha256="1" * 64, size_bytes=1),
        )
    ]
}  # fmt: skip


COVERAGE = {"librispeech": Coverage(num_annotated=3, num_utterances=2, excluded={"no_audio": 1})}


def test_a_new_metric_makes_a_new_report(monkeypatch: pytest.MonkeyPatch) -> None:
    before = report_path("tiny", MEASURED, MEASURED, COVERAGE)
    assert report_path("tiny", MEASURED, MEASURED, COVERAGE) == before
    monkeypatch.setattr(result, "METRICS", (*METRICS, "cer_percent"))
    assert report_path("tiny", MEASURED, MEASURED, COVERAGE) != before


def test_other_exclusions_make_a_new_report() -> None:
    """Files without a usable utterance add to the plan, but change no measurement."""
    more = {"librispeech": Coverage(num_annotated=4, num_utterances=2, excluded={"no_audio": 2})}
    before = report_path("tiny", MEASURED, MEASURED, COVERAGE)
    assert report_path("tiny", MEASURED, MEASURED, more) != before


def test_a_report_names_its_metrics() -> None:
    assert {"wer_percent", "relative_speed", "num_utterances", "coverage"} <= set(METRICS)
    assert Report.model_fields["metrics"].default == METRICS
