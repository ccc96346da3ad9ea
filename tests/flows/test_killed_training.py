"""Killed at any moment, a training ends with the same losses and weights, bit by bit."""

import shutil
from pathlib import Path
from random import Random

import pytest

from tests.flows.running import Run, copied, tiny
from tests.flows.training import files_of, train, train_with_kills

SPARSE_MINUTES = 0.5 / 60
"""Between checkpoints, so that most kills lose updates."""


def untrained(finished: Run, folder: Path, num_steps: int) -> Run:
    """The finished run without its student, with another training."""
    copied(finished, folder)
    shutil.rmtree(folder / "tiny-data" / "distil")
    return tiny(
        folder,
        distil={
            "num_steps": num_steps, "evaluate_every_steps": 3, "previous_text_probability": 0.5
        },
        runtime={"checkpoint_every_minutes": SPARSE_MINUTES},
    )  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("num_kills", "num_steps"), [(2, 9), pytest.param(20, 84, marks=pytest.mark.slow)]
)
def test_a_killed_training_ends_as_one_that_was_not(
    finished: Run, tmp_path: Path, num_kills: int, num_steps: int
) -> None:
    straight = train(untrained(finished, tmp_path / "straight", num_steps))
    run = untrained(finished, tmp_path / "killed", num_steps)
    receipt, kills = train_with_kills(run, Random(16), num_kills)
    assert [one.step > one.resumed_after for one in kills] == [True] * num_kills
    assert files_of(receipt) == files_of(straight)
    assert {"model.safetensors", "training.jsonl"} <= files_of(receipt).keys()
    for name in ("best_step", "validation_wer_percent", "validation_wer_percent_by_set"):
        assert receipt.recorded[name] == straight.recorded[name]
