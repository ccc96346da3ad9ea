"""A training that is stopped by SIGTERM loses no step, whatever it was doing."""

import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest
import torch

from tasks.distil.best import Best, Score
from tasks.distil.execution import Execution
from tasks.distil.progress.rows import TrainingRow
from tasks.distil.train import distil


class StoppedError(Exception):
    """What SIGTERM raises once the training has saved its checkpoint."""


def stop(number: int, frame: FrameType | None) -> None:
    raise StoppedError


@pytest.fixture(autouse=True)
def _stopped_by_sigterm() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


class Stopping:
    """Sends SIGTERM once, at one place in one step."""

    def __init__(self) -> None:
        self.step, self.where, self.is_sent = 0, "", False

    def at(self, where: str, step: int) -> None:
        if (where, step) == (self.where, self.step) and not self.is_sent:
            self.is_sent = True
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("average_best", [1, 2])
@pytest.mark.parametrize(
    ("where", "step"),
    [
        ("update", 1), ("update", 4), ("report", 3), ("score", 2), ("score", 6), ("best", 2),
        ("save", 4),
    ],
)  # fmt: skip
def test_the_current_step_is_saved_and_the_result_the_same(
    monkeypatch, make_teacher, processor, source, checkpoints, settings, where, step,
    average_best,
) -> None:  # fmt: skip
    settings = settings.model_copy(update={"average_best": average_best})
    stopping = Stopping()
    done = 0

    def on_step(row: TrainingRow) -> None:
        nonlocal done
        done = row.step
        stopping.at("report", row.step)

    def score(student) -> Score:
        stopping.at("score", done)
        return Score(float(next(iter(student.model.decoder.parameters())).sum()))

    def best(**values) -> Best:
        """Called once the weights are copied."""
        stopping.at("best", values["steps"][0])
        return Best(**values)

    monkeypatch.setattr("tasks.distil.training.Best", best)
    save = checkpoints.save
    checkpoints.save = lambda number, files: (stopping.at("save", number), save(number, files))

    def train():
        nonlocal done
        teacher = make_teacher()
        teacher.model.decoder.register_forward_hook(lambda *_: stopping.at("update", done + 1))
        latest = checkpoints.latest()
        done = latest[0] if latest else 0
        return distil(
            teacher, processor, source, (), settings,
            Execution(device=torch.device("cpu"), micro_batch_size=4), checkpoints,
            on_step=on_step, validate=score,
        )  # fmt: skip

    straight = train()
    checkpoints.folder = checkpoints.folder.with_name("stopped")
    stopping.where, stopping.step = where, step
    with pytest.raises(StoppedError):
        train()
    latest = checkpoints.latest()
    assert latest is not None and latest[0] == step
    resumed = train()
    assert resumed.rows == straight.rows
    assert (resumed.best_steps, resumed.score) == (straight.best_steps, straight.score)
    for name, value in resumed.student.state_dict().items():
        assert torch.equal(value, straight.student.state_dict()[name]), name
