"""What trackers show of a training, read back with the library of each."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch

from tasks.distil.best import Score
from tasks.distil.execution import Execution
from tasks.distil.progress.rows import TrainingRow
from tasks.distil.progress.trackers import TrackedRun, Tracking
from tasks.distil.train import distil
from tasks.distil.validation import Validation
from tasks.stage import Parameter

pytest.importorskip("accelerate")

STEPS = list(range(1, 7))

Train = Callable[..., tuple[TrainingRow, ...]]


class KilledError(Exception):
    """Simulates a killed process."""


@pytest.fixture(autouse=True)
def _fresh_state() -> None:
    """As in a process in which nothing has used accelerate yet."""
    from accelerate.state import PartialState

    PartialState._reset_state()


@pytest.fixture
def run(tmp_path: Path) -> TrackedRun:
    parameters = [
        Parameter("batch_size", 4),
        Parameter("decoder_layers", [0, 3]),
        Parameter("num_epochs", None),
        Parameter("corpus_weights", {"ami": 2.0}),
        Parameter("teacher", "sha256:abc"),
    ]
    return TrackedRun.of(tmp_path / "logs", "books", "0123456789abcdef", parameters)


@pytest.fixture
def train(make_teacher, processor, source, checkpoints, settings) -> Train:
    """A training of six updates and three validations, followed by one tracker."""

    def follow(name: str, run: TrackedRun, killed_at: int = 0) -> tuple[TrainingRow, ...]:
        tracking = Tracking([name], run)
        scores = iter(range(30, 0, -1))

        def validate(student) -> Score:
            score = float(next(scores))
            by_set = {"ami/ihm": score - 1, "ami/sdm": score + 1, "empty/dev": None}
            tracking.validated(
                Validation(wer_percent=score, by_set=by_set, num_utterances=2, excluded={})
            )
            return Score(score)

        def on_step(row: TrainingRow) -> None:
            if row.step == killed_at:
                raise KilledError

        with closing(tracking):
            return distil(
                make_teacher(), processor, source, (), settings,
                Execution(device=torch.device("cpu"), micro_batch_size=4), checkpoints,
                on_rows=tracking.report, on_step=on_step, validate=validate,
            ).rows  # fmt: skip

    return follow


def _losses(rows: tuple[TrainingRow, ...]) -> list[tuple[int, float]]:
    return [(row.step, pytest.approx(row.loss)) for row in rows]


def test_tensorboard_has_each_update_and_each_set(train, run) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    rows = train("tensorboard", run)
    folder = run.folder / "books" / "0123456789abcdef"
    events = accumulator.EventAccumulator(str(folder)).Reload()

    def scalars(tag: str) -> list[tuple[int, float]]:
        return [(event.step, event.value) for event in events.Scalars(tag)]

    assert scalars("train/loss") == _losses(rows)
    for name in ("ce", "kl", "learning_rate"):
        expected = [(row.step, pytest.approx(getattr(row, name))) for row in rows]
        assert scalars(f"train/{name}") == expected
    assert scalars("validation/wer_percent") == [(2, 30.0), (4, 29.0), (6, 28.0)]
    assert scalars("validation/wer_percent_by_set/ami/ihm") == [(2, 29.0), (4, 28.0), (6, 27.0)]
    assert {tag for tag in events.Tags()["scalars"] if "empty" in tag or "mse" in tag} == set()
    (settings,) = folder.glob("*/hparams.yml")
    assert "decoder_layers: '[0, 3]'" in settings.read_text()


@pytest.mark.parametrize("killed_at", [1, 3, 4])
def test_a_resumed_training_goes_on_in_the_same_tensorboard_run(train, run, killed_at) -> None:
    """Updates after the last checkpoint are made and logged again, and count once."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with pytest.raises(KilledError):
        train("tensorboard", run, killed_at)
    time.sleep(1.1)  # files are read in the order of the seconds in which they began
    rows = train("tensorboard", run)
    (folder,) = (run.folder / "books").iterdir()
    events = accumulator.EventAccumulator(str(folder)).Reload()
    assert [(one.step, one.value) for one in events.Scalars("train/loss")] == _losses(rows)
    assert [one.step for one in events.Scalars("validation/wer_percent")] == [2, 4, 6]
    assert len(list(folder.glob("*/hparams.yml"))) == 1


@pytest.fixture
def mlflow(run: TrackedRun, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield mlflow
    mlflow.set_tracking_uri(None)


@pytest.mark.parametrize("killed_at", [0, 4])
def test_mlflow_has_one_run_with_each_step_once(train, run, mlflow, killed_at) -> None:
    if killed_at:
        with pytest.raises(KilledError):
            train("mlflow", run, killed_at)
    rows = train("mlflow", run)
    (found,) = mlflow.search_runs(experiment_names=["books"], output_format="list")
    assert found.info.run_name == run.name
    assert found.data.params["decoder_layers"] == "[0, 3]"
    history = mlflow.MlflowClient().get_metric_history
    losses = history(found.info.run_id, "train/loss")
    assert [(one.step, one.value) for one in losses] == _losses(rows)
    rates = history(found.info.run_id, "validation/wer_percent_by_set/ami/sdm")
    assert [one.step for one in rates] == [2, 4, 6]


@pytest.mark.parametrize("killed_at", [0, 4])
def test_trackio_has_one_run_with_each_step_once(train, run, monkeypatch, killed_at) -> None:
    pytest.importorskip("trackio")
    from trackio import sqlite_storage, utils

    monkeypatch.setenv("TRACKIO_DIR", str(run.folder))
    for module in (utils, sqlite_storage):
        monkeypatch.setattr(module, "TRACKIO_DIR", run.folder)
    if killed_at:
        with pytest.raises(KilledError):
            train("trackio", run, killed_at)
    rows = train("trackio", run)
    logs = sqlite_storage.SQLiteStorage.get_logs("books", run.name)
    losses = [(one["step"], one["train/loss"]) for one in logs if "train/loss" in one]
    assert losses == _losses(rows)
    rates = [one["step"] for one in logs if "validation/wer_percent_by_set/ami/sdm" in one]
    assert rates == [2, 4, 6]


def test_a_tracker_that_fails_is_left_out_and_the_training_goes_on(
    train, run, monkeypatch, caplog
) -> None:
    accelerate = pytest.importorskip("accelerate.tracking")
    pytest.importorskip("tensorboard")

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(accelerate.TensorBoardTracker, "log", full)
    with caplog.at_level(logging.ERROR):
        rows = train("tensorboard", run)
    assert [row.step for row in rows] == STEPS
    assert [one.getMessage() for one in caplog.records] == [
        "tensorboard follows the training no longer"
    ]
