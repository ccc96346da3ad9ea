"""AdamW, the learning rate schedule, and the optimizer's state as plain tensors."""

from collections.abc import Mapping

import torch
from torch import nn
from transformers import WhisperForConditionalGeneration

from configs.schema import Distil
from storage.errors import IntegrityError

Tensors = dict[str, torch.Tensor]


def learning_rate(update: int, settings: Distil) -> float:
    """The learning rate of an update, counted from 1: linear warm-up, then linear decay.

    It is at its peak at update `num_warmup_steps`, and would be 0 just before the first and just
    after the last update, so that every update has an effect (Table 15 of the paper).
    """
    if update <= settings.num_warmup_steps:
        return settings.peak_learning_rate * update / settings.num_warmup_steps
    num_left = settings.num_steps + 1 - update
    num_decay = settings.num_steps + 1 - settings.num_warmup_steps
    return settings.peak_learning_rate * num_left / num_decay


def trainable(student: WhisperForConditionalGeneration) -> dict[str, nn.Parameter]:
    """The trainable parameters by name; tied ones once."""
    return {name: value for name, value in student.named_parameters() if value.requires_grad}


def make_optimizer(student: WhisperForConditionalGeneration, settings: Distil) -> torch.optim.AdamW:
    """AdamW as in Table 15 of the paper; biases and layer norms are exempt from weight decay.

    Fused: weights and moments are read and written once, on a CPU in a quarter of the time.
    """
    parameters = trainable(student).values()
    groups = [
        {
            "params": [value for value in parameters if value.ndim > 1],
            "weight_decay": settings.weight_decay,
        },
        {"params": [value for value in parameters if value.ndim <= 1], "weight_decay": 0.0},
    ]
    rate = settings.peak_learning_rate
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.999), eps=1e-8, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, student: WhisperForConditionalGeneration
) -> Tensors:
    """The optimizer's state by `{parameter}/{key}`: moments and number of updates."""
    return {
        f"{name}/{key}": value
        for name, parameter in trainable(student).items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    student: WhisperForConditionalGeneration,
    tensors: Mapping[str, torch.Tensor],
) -> None:
    """Restore the state from `optimizer_tensors`, on the devices of the parameters."""
    parameters = trainable(student)
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        parameter = _named(parameters, name)
        optimizer.state[parameter][key] = value.to(parameter.device)


def restore_weights(
    student: WhisperForConditionalGeneration, weights: Mapping[str, torch.Tensor]
) -> None:
    """Restore trainable weights; raises `IntegrityError` if they are those of another model."""
    parameters = trainable(student)
    if missing := parameters.keys() - weights.keys():
        raise IntegrityError(
            f"the checkpoint lacks {len(missing)} weights of the student, the first {min(missing)}:"
            " it is of another model; delete it and start over"
        )
    with torch.no_grad():
        for name, value in weights.items():
            parameter = _named(parameters, name)
            if parameter.shape != value.shape:
                raise IntegrityError(
                    f"weight {name} of the checkpoint has shape {tuple(value.shape)}, the student's"
                    f" {tuple(parameter.shape)}: it is of another model"
                )
            parameter.copy_(value)


def _named(parameters: Mapping[str, nn.Parameter], name: str) -> nn.Parameter:
    if name not in parameters:
        raise IntegrityError(
            f"the checkpoint names {name}, which the student does not train: it is of another"
            " model; delete it and start over"
        )
    return parameters[name]
