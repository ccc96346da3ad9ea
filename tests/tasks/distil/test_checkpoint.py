"""Snapshots are restored from their files bit by bit, or refused with a reason."""

import json

import pytest
import torch

from storage.errors import IntegrityError
from tasks.distil.best import Best, Score
from tasks.distil.checkpoint import Snapshot, from_files, to_files
from tasks.distil.progress.rows import TrainingRow

SETTINGS = {"num_steps": 20, "peak_learning_rate": 1e-4}


def _snapshot(*best: Best) -> Snapshot:
    torch.manual_seed(0)
    row = {"step": 7, "loss": 0.1 + 0.2, "ce": 1 / 3, "kl": 1e-17, "learning_rate": 1e-4}
    return Snapshot(
        step=7,
        weights={"a": torch.randn(3, 4), "b": torch.randn(5, 2).T},
        optimizer={"a/exp_avg": torch.randn(3, 4), "a/step": torch.tensor(7.0)},
        best=best,
        rows=[TrainingRow(**row), TrainingRow(**row, validation=0.7)],
    )


def _best(step: int, score: float, **weights: torch.Tensor) -> Best:
    details = {"by_set": {"libri/dev": 1 / 3, "tedlium/dev": None}}
    return Best(steps=(step,), score=Score(score, details), weights=weights)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_snapshot_is_restored_exactly(number) -> None:
    best = [_best(step, 1 / (7 - step), a=torch.randn(3, 4)) for step in range(number)]
    snapshot = _snapshot(*best)
    files = to_files(snapshot, SETTINGS)
    assert all(name.endswith((".safetensors", ".json")) for name in files)
    found = from_files(files, SETTINGS)
    assert (found.step, found.rows) == (7, snapshot.rows)
    for name in ("weights", "optimizer"):
        expected, tensors = getattr(snapshot, name), getattr(found, name)
        assert tensors.keys() == expected.keys()
        assert all(torch.equal(tensors[key], value) for key, value in expected.items())
    assert len(found.best) == number
    for one, other in zip(found.best, best, strict=True):
        assert (one.steps, one.score) == (other.steps, other.score)
        assert torch.equal(one.weights["a"], other.weights["a"])


@pytest.mark.parametrize("has_best", [True, False])
def test_a_checkpoint_of_format_1_is_read(has_best) -> None:
    best = [_best(4, 0.5, a=torch.randn(3, 4))] if has_best else []
    files = to_files(_snapshot(*best), SETTINGS)
    state = json.loads(files["state.json"])
    state |= {"format": 1, "best": {"step": 4, "score": 0.5} if has_best else None}
    files["state.json"] = json.dumps(state).encode()
    if has_best:
        files["best.safetensors"] = files.pop("best-1.safetensors")
    found = from_files(files, SETTINGS).best
    assert [(one.steps, one.score) for one in found] == [((4,), Score(0.5)) for _ in best]
    assert all(torch.equal(found[0].weights["a"], one.weights["a"]) for one in best)


@pytest.mark.parametrize("name", ["state.json", "weights.safetensors", "best-1.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_damaged_files_are_refused(name, damage) -> None:
    files = to_files(_snapshot(_best(4, 0.5)), SETTINGS)
    if damage == "missing":
        del files[name]
    else:
        files[name] = files[name][:-9]
    with pytest.raises(IntegrityError, match="the checkpoint cannot be read"):
        from_files(files, SETTINGS)


@pytest.mark.parametrize("where", ["weights", "best"])
def test_weights_that_are_no_numbers_are_refused(where) -> None:
    best = _best(4, 0.5, a=torch.ones(3, 4))
    snapshot = _snapshot(best)
    (snapshot.weights if where == "weights" else best.weights)["a"][1, 2] = float("nan")
    with pytest.raises(IntegrityError, match="of step 7 has NaN or infinite weights in a,"):
        from_files(to_files(snapshot, SETTINGS), SETTINGS)


def test_other_settings_are_refused() -> None:
    files = to_files(_snapshot(), SETTINGS)
    with pytest.raises(IntegrityError, match=r"distil\.num_steps = 20, this training has 40"):
        from_files(files, SETTINGS | {"num_steps": 40})


def test_state_is_plain_json() -> None:
    state = json.loads(to_files(_snapshot(), SETTINGS)["state.json"])
    assert state["step"] == 7
    assert state["best"] == []
