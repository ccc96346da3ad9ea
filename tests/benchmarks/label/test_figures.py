"""The figures of the benchmark of labelling: which precision of an engine is compared."""

from typing import Any

from benchmarks.label.figures import best_of_each


def row(key: str, dtype: str, seconds: float, wer: float | None) -> dict[str, Any]:
    return {"key": key, "dtype": dtype, "end_to_end_s": seconds, "wer_percent": wer}


def test_the_fastest_precision_that_keeps_its_accuracy_is_the_best() -> None:
    rows = [
        row("engine", "float32", 10.0, 5.0),
        row("engine", "bfloat16", 5.0, 5.1),
        row("ctranslate2", "float32", 9.0, 5.0),
        row("ctranslate2", "int8", 3.0, 5.2),
    ]
    assert best_of_each(rows, "float32") == {
        "engine": "engine.bfloat16",
        "ctranslate2": "ctranslate2.float32",
    }


def test_an_engine_is_measured_by_its_own_accuracy_at_the_first_precision() -> None:
    rows = [
        row("faster_whisper", "float32", 9.0, 6.0),
        row("faster_whisper", "int8", 3.0, 6.05),
        row("engine", "bfloat16", 5.0, 5.0),
    ]
    assert best_of_each(rows, "float32") == {"faster_whisper": "faster_whisper.int8"}


def test_without_references_no_precision_is_the_best() -> None:
    assert best_of_each([row("engine", "float32", 10.0, None)], "float32") == {}
