"""The rows of a training survive their file, also one that older code wrote."""

import pytest

from storage.errors import IntegrityError
from tasks.distil.progress.rows import TrainingRow, from_lines, to_lines

ROW = TrainingRow(step=1, loss=0.1 + 0.2, ce=1 / 3, kl=1e-17, learning_rate=1e-4)


def test_rows_are_read_back_exactly() -> None:
    rows = [ROW, TrainingRow(step=2, loss=1.0, ce=1.0, kl=0.0, learning_rate=0.5, mse=0.25)]
    assert from_lines(to_lines(rows), "training.jsonl") == rows


def test_rows_without_newer_columns_are_read() -> None:
    line = '{"step": 1, "loss": 0.3, "ce": 0.1, "kl": 0.2, "learning_rate": 0.5}'
    assert from_lines(line, "training.jsonl")[0].mse == 0.0


@pytest.mark.parametrize("text", ["{", '{"step": 1}', '{"epoch": 1}', "[1]"])
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(IntegrityError, match=r"x/training\.jsonl is not a training's metrics"):
        from_lines(text, "x/training.jsonl")
