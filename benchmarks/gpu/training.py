"""A training step on a device, against the same step on the CPU."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal

import torch
from torch import Tensor

from benchmarks.gpu.check import DEMO, Outcome, Setup
from benchmarks.gpu.speech import windows_of
from benchmarks.gpu.tokens import settings_of
from configs.schema import Distil
from tasks.distil.batch import Prepared
from tasks.distil.encode import TeacherEncoder
from tasks.distil.student import make_student
from tasks.distil.training import Training
from tasks.distil.update.optimise import trainable
from tasks.distil.update.pair import Pair, make_pair, ready_teacher
from tasks.distil.update.step import MeanLoss, add_gradients
from tasks.whisper.model import LoadedWhisper, log_mel
from tasks.whisper.tokens import SpecialTokens, inputs_and_targets
from tasks.whisper.whisper import WhisperEngine

_CPU: Final = torch.device("cpu")
_NUM_ROWS: Final = 8
_MICRO_BATCH_SIZE: Final = 4
# relative: of the loss, and of the gradient as one vector
_TOLERANCES: Final[dict[Literal["float32", "bfloat16"], tuple[float, float]]] = {
    "float32": (1e-3, 1e-2),
    "bfloat16": (2e-2, 2e-1),
}


class _InMemory:
    """Checkpoints without files."""

    def __init__(self) -> None:
        self.last: tuple[int, dict[str, bytes]] | None = None

    def save(self, step: int, files: Mapping[str, bytes]) -> None:
        self.last = step, dict(files)

    def latest(self) -> tuple[int, dict[str, bytes]] | None:
        return self.last

    def location(self, step: int) -> str:
        return f"memory, step {step}"


def check_training(setup: Setup) -> Outcome:
    """Loss and gradient must agree with the CPU's in float32 and bfloat16.

    Then two updates, with a checkpoint between them: the second must be the same after resuming.
    The demo teacher is used, so that the CPU is fast enough.
    """
    teacher = replace(setup, teacher=DEMO).load("float32")
    rows = _rows(replace(setup, num_windows=_NUM_ROWS), teacher)
    parts, passed = [], True
    figures: dict[str, float] = {}
    for dtype, (max_loss, max_gradient) in _TOLERANCES.items():
        settings = Distil(dtype=dtype, num_steps=4, num_warmup_steps=1, freeze_encoder=False)
        loss, expected = _loss_and_gradient(_pair(teacher, _CPU, settings), rows)
        found_loss, found = _loss_and_gradient(_pair(teacher, setup.device, settings), rows)
        of_loss = abs(found_loss.loss - loss.loss) / loss.loss
        of_gradient = float((found - expected).norm() / expected.norm())
        passed = passed and of_loss <= max_loss and of_gradient <= max_gradient
        figures |= {f"{dtype}_loss": of_loss, f"{dtype}_gradient": of_gradient}
        parts.append(
            f"{dtype}: loss {found_loss.loss:.5f}, on the CPU {loss.loss:.5f}; the gradient"
            f" differs by {of_gradient:.1e}"
        )
    differs_by = _after_resuming(teacher, setup.device, rows)
    # attention adds up gradients in any order on a GPU
    passed = passed and differs_by <= 1e-4
    parts.append(f"after a checkpoint the next loss differs by {differs_by:.1e}")
    return Outcome(passed=passed, detail="; ".join(parts), figures=figures)


def _rows(setup: Setup, teacher: LoadedWhisper) -> list[Prepared]:
    """Windows with the labels that the engine gives them."""
    special = SpecialTokens.of(teacher.tokenizer)
    engine, rows = WhisperEngine(teacher, _NUM_ROWS), []
    windows = windows_of(setup, teacher.window_samples)
    for window, result in engine.transcribe(windows, settings_of()):
        features = log_mel(teacher, [window.samples])[0].cpu().numpy()
        rows.append(Prepared(window.samples, features, *inputs_and_targets(result.tokens, special)))
    return sorted(rows, key=lambda row: row.inputs)


def _pair(teacher: LoadedWhisper, device: torch.device, settings: Distil) -> Pair:
    model = copy.deepcopy(teacher.model)
    student = make_student(model, settings.decoder_layers)
    ready_teacher(model, device, settings)
    encode = TeacherEncoder(model, device, getattr(torch, settings.dtype))
    end: Any = model.generation_config.eos_token_id
    return make_pair(model, student, encode, settings, end)


def _loss_and_gradient(pair: Pair, rows: list[Prepared]) -> tuple[MeanLoss, Tensor]:
    loss = add_gradients(pair, rows, _MICRO_BATCH_SIZE)
    gradients = [value.grad for value in trainable(pair.student).values() if value.grad is not None]
    return loss, torch.cat([one.flatten().cpu() for one in gradients])


def _after_resuming(teacher: LoadedWhisper, device: torch.device, rows: list[Prepared]) -> float:
    """The difference between the second loss and the same one of a training that was resumed."""
    settings = Distil(num_steps=4, num_warmup_steps=1)
    checkpoints = _InMemory()
    training = Training(_pair(teacher, device, settings), checkpoints, _MICRO_BATCH_SIZE)
    training.update(rows)
    training.save()
    expected = training.update(rows).loss
    resumed = Training(_pair(teacher, device, settings), checkpoints, _MICRO_BATCH_SIZE)
    resumed.resume()
    return abs(resumed.update(rows).loss - expected)
