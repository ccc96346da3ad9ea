"""The learning rate schedule, and restoring the optimizer."""

import pytest
import torch

from configs.schema import Distil
from storage.errors import IntegrityError
from tasks.distil.update.optimise import (
    learning_rate,
    make_optimizer,
    optimizer_tensors,
    restore_optimizer,
    restore_weights,
    trainable,
)


def test_the_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    settings = Distil(num_steps=10, num_warmup_steps=4, peak_learning_rate=8e-4)
    rates = [learning_rate(update, settings) for update in range(1, 11)]
    assert rates[:4] == pytest.approx([2e-4, 4e-4, 6e-4, 8e-4])
    assert rates[3:] == pytest.approx([8e-4 * left / 7 for left in range(7, 0, -1)])


@pytest.mark.parametrize(("num_warmup_steps", "first"), [(0, 5 / 6), (20, 1 / 20)])
def test_extremes_of_the_schedule(num_warmup_steps, first) -> None:
    settings = Distil(num_steps=5, num_warmup_steps=num_warmup_steps, peak_learning_rate=1.0)
    rates = [learning_rate(update, settings) for update in range(1, 6)]
    assert rates[0] == pytest.approx(first)
    assert min(rates) > 0


def test_biases_and_norms_do_not_decay(make_teacher) -> None:
    optimizer = make_optimizer(make_teacher(), Distil(weight_decay=0.1))
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert all(value.ndim > 1 for value in optimizer.param_groups[0]["params"])
    assert all(value.ndim == 1 for value in optimizer.param_groups[1]["params"])
    assert optimizer.defaults["betas"] == (0.9, 0.999)
    assert optimizer.defaults["eps"] == 1e-8


def _one_update(model, optimizer) -> None:
    torch.manual_seed(0)
    features, tokens = torch.randn(1, 80, 100), torch.randint(0, 400, (1, 5))
    optimizer.zero_grad()
    model(features, labels=tokens).loss.backward()
    optimizer.step()


def test_a_restored_optimizer_gives_the_same_updates(make_teacher) -> None:
    models = [make_teacher(), make_teacher()]
    optimizers = [make_optimizer(model, Distil()) for model in models]
    _one_update(models[0], optimizers[0])
    tensors = {
        name: value.clone() for name, value in optimizer_tensors(optimizers[0], models[0]).items()
    }
    assert len(tensors) == 3 * len(trainable(models[0]))
    restore_weights(models[1], trainable(models[0]))
    restore_optimizer(optimizers[1], models[1], tensors)
    for model, optimizer in zip(models, optimizers, strict=True):
        _one_update(model, optimizer)
    for name, value in trainable(models[0]).items():
        assert torch.equal(value, trainable(models[1])[name])


def test_weights_of_another_model_are_refused(make_teacher) -> None:
    student, other = make_teacher(2), make_teacher(3)
    with pytest.raises(IntegrityError, match=r"lacks \d+ weights"):
        restore_weights(other, trainable(student))
    with pytest.raises(IntegrityError, match="which the student does not train"):
        restore_weights(student, trainable(other))
    name = "model.decoder.layer_norm.weight"
    with pytest.raises(IntegrityError, match=f"{name} of the checkpoint has shape"):
        restore_weights(student, trainable(student) | {name: torch.zeros(3)})
