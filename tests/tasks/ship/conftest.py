"""A student with all that can be known of it, without files."""

from typing import Any

import pytest

from storage.manifest import Content, Manifest, Terms, Totals
from storage.receipt import FileRef, Receipt
from storage.shard import ShardKey
from tasks.distil.stage import DISTIL
from tasks.evaluate.coverage import Coverage
from tasks.evaluate.result import Report
from tasks.evaluate.statistics.pooled import ModelResult
from tasks.ship.facts import ModelSize, StudentFacts

OPEN = Terms(name="CC-BY-4.0", commercial_use=True, derivatives=True, redistribution=True)


@pytest.fixture
def facts() -> StudentFacts:
    settings = {
        "plan": {"revision": "r1"},
        "label": {"teacher": "openai/whisper-large-v2@abc", "language": "en"},
        "filter": {"max_wer_percent": 10.0},
    }
    content = Content(
        name="full", entries=(), fingerprints={}, parameters={"libri": settings, "giga": settings}
    )
    totals = Totals(
        shards=2, hours_heard=10, windows_heard=2_000, windows=1_500, utterances=1_600, hours=7.5
    )
    manifest = Manifest(
        number=3,
        parent=None,
        digest=content.digest(),
        published_at="2026-01-02T03:04:05+00:00",
        root="s3://bucket/prefix",
        versions={"python": "3.11.7"},
        licences={"libri": OPEN, "giga": OPEN},
        totals={"libri": totals, "giga": totals, "all": totals},
        content=content,
    )
    receipt = Receipt(
        stage="distil",
        fingerprint="f",
        key=ShardKey("all", "full", 3),
        source_digest=manifest.digest,
        output=FileRef(path="distil/f/student/model.safetensors", sha256="a" * 64, size_bytes=1),
        counts={"rows_in": 3_000, "rows_out": 3_000},
        recorded={
            "best_step": 40,
            "validation_wer_percent": 12.5,
            "num_validation_utterances": 1_000,
            "validation_wer_percent_by_set": {"libri/dev": 5.0, "giga/dev": 20.0},
        },
    )
    return StudentFacts(
        manifest=manifest,
        receipt=receipt,
        teacher="openai/whisper-large-v2@abc",
        settings={**DISTIL.defaults, "dtype": "bfloat16", "batch_size": 64},
        num_steps=80,
        size=ModelSize(num_parameters=756_220_160, encoder_layers=32, decoder_layers=2),
        window_samples=480_000,
        evaluated_role="test",
        hub_data={"giga": "speechcolab/gigaspeech"},
        report=report(),
        intervals={
            "teacher": {"libri": (3.1, 5.2), "all": (5.0, 6.0)},
            "student": {"libri": (4.2, 6.3), "all": (6.5, 7.5)},
        },
    )


def report() -> Report:
    def result(model: str, **changes: Any) -> ModelResult:
        values = {
            "num_parameters": 1_543_304_960, "decoder_layers": 32, "num_utterances": 300,
            "hours": 1.0, "num_reference_words": 9_000, "wer_percent": 5.5,
            "substitution_percent": 3.0, "deletion_percent": 1.5, "insertion_percent": 1.0,
            "num_repeated_5grams": 7, "seconds": 58.0,
        }  # fmt: skip
        return ModelResult(model=model, **{**values, **changes})

    coverage = {
        "libri": Coverage(num_annotated=101, num_utterances=100, excluded={"no_audio": 1}),
        "giga": Coverage(num_annotated=200, num_utterances=200),
    }
    return Report(
        teacher=result("teacher"),
        student=result("student", wer_percent=7.0, seconds=10.0, decoder_layers=2),
        relative_speed=5.8,
        by_corpus={
            "libri": {"teacher": 4.0, "student": 5.0},
            "giga": {"teacher": 6.0, "student": 8.0},
        },
        coverage=Coverage.total(coverage.values()),
        coverage_by_corpus=coverage,
        student_folder="distil/f/student",
    )
