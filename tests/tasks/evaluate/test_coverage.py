"""How many utterances were measured, and why the others were not."""

import pytest
from pydantic import ValidationError

from storage.receipt import Counts, FileRef, Receipt
from storage.shard import ShardKey
from tasks.evaluate.coverage import Coverage


def receipt(stage: str, **counts: object) -> Receipt:
    return Receipt(
        stage=stage,
        fingerprint="f",
        key=ShardKey("tedlium", "test", 0),
        source_digest="0" * 64,
        output=FileRef(path="x.parquet", sha256="1" * 64, size_bytes=1),
        counts=Counts.model_validate(counts),
    )


def test_what_each_stage_rejects_is_counted_by_reason() -> None:
    plans = [
        receipt("plan", rows_in=12, rows_out=9, dropped={"not_scored": 3}),
        receipt("plan", rows_in=5, rows_out=4, quarantined={"no_audio": 1}),
    ]
    normalised = [
        receipt("normalise", rows_in=9, rows_out=8, quarantined={"unreadable_audio": 1}),
        receipt("normalise", rows_in=2, created=3, rows_out=4, dropped={"segmented": 1}),
    ]
    measured = [
        receipt("evaluate", rows_in=8, rows_out=7, quarantined={"unreadable_audio": 1}),
        receipt("evaluate", rows_in=4, rows_out=1, dropped={"empty_reference": 3}),
    ]
    assert Coverage.of(plans, normalised, measured) == Coverage(
        num_annotated=20,
        num_utterances=8,
        excluded={
            "beyond_limit_hours": 2,
            "empty_reference": 3,
            "no_audio": 1,
            "not_scored": 3,
            "segmented": 1,
            "unreadable_audio": 2,
        },
    )


def test_complete_coverage_has_no_reasons() -> None:
    plan, normalised, measured = (
        receipt(stage, rows_in=465, rows_out=465) for stage in ("plan", "normalise", "evaluate")
    )
    found = Coverage.of([plan], [normalised], [measured])
    assert found == Coverage(num_annotated=465, num_utterances=465)


def test_the_total_is_over_all_corpora() -> None:
    one = Coverage(num_annotated=3, num_utterances=2, excluded={"no_audio": 1})
    other = Coverage(num_annotated=6, num_utterances=3, excluded={"no_audio": 1, "silence": 2})
    assert Coverage.total([one, other]) == Coverage(
        num_annotated=9, num_utterances=5, excluded={"no_audio": 2, "silence": 2}
    )
    assert Coverage.total([]) == Coverage()


def test_no_utterance_may_be_uncounted() -> None:
    with pytest.raises(ValidationError, match="3 annotated is not 2 measured \\+ 0 excluded"):
        Coverage(num_annotated=3, num_utterances=2)
