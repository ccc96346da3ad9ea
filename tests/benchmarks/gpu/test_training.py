import torch

from benchmarks.gpu import training
from benchmarks.gpu.training import check_training


def test_a_training_step_is_that_of_the_cpu(setup):
    outcome = check_training(setup)
    assert outcome.passed, outcome.detail
    assert outcome.figures["float32_loss"] == outcome.figures["float32_gradient"] == 0.0
    assert "after a checkpoint the next loss differs by 0.0e+00" in outcome.detail


def test_a_wrong_gradient_fails(setup, monkeypatch):
    step, devices = training._loss_and_gradient, []

    def wrong_at_second(pair, rows):
        devices.append(pair.device)
        loss, gradient = step(pair, rows)
        return loss, gradient * (1 if len(devices) % 2 else 1.5)

    monkeypatch.setattr(training, "_loss_and_gradient", wrong_at_second)
    outcome = check_training(setup)
    assert outcome.passed is False
    assert abs(outcome.figures["float32_gradient"] - 0.5) < 1e-3
    assert devices == [torch.device("cpu")] * 4
