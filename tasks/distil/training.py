"""The state of a training: updates, scores, checkpoints."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn
from transformers import WhisperForConditionalGeneration

from storage.errors import IntegrityError, ShardError
from tasks.distil.batch import Prepared
from tasks.distil.best import Best, Score, Tensors, mean_weights, with_scored
from tasks.distil.checkpoint import Checkpoints, Snapshot, from_files, to_files
from tasks.distil.parallel.processes import ALONE, Processes
from tasks.distil.progress.rows import OnRows, TrainingRow, ignored
from tasks.distil.update.optimise import (
    learning_rate,
    make_optimizer,
    optimizer_tensors,
    restore_optimizer,
    restore_weights,
    set_learning_rate,
    trainable,
)
from tasks.distil.update.pair import Pair, on_device
from tasks.distil.update.step import MeanLoss, add_gradients
from tasks.whisper.model import find_not_finite

Validate = Callable[[WhisperForConditionalGeneration], Score]
"""The score of a student, on its device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """The student with its best weights, and the metrics of every update.

    They are those after `best_steps`, averaged if there are several; the first is the best alone.
    Without validation the last weights are used and `score` is None. Since the last resume,
    `waiting_percent` of the time was spent waiting for data, and `padding_percent` of the tokens
    were padding.
    """

    student: WhisperForConditionalGeneration
    rows: tuple[TrainingRow, ...]
    best_steps: tuple[int, ...]
    score: Score | None
    waiting_percent: float
    padding_percent: float


class Training:
    """A student in training: its weights, its optimizer, and its best weights so far.

    Of several `processes` the first alone scores and writes checkpoints.
    """

    def __init__(
        self,
        pair: Pair,
        checkpoints: Checkpoints,
        micro_batch_size: int,
        processes: Processes = ALONE,
        on_rows: OnRows = ignored,
    ) -> None:
        self.pair = pair
        self.step = 0
        self._settings = pair.settings
        self._made_with = pair.settings.model_dump(mode="json")
        self._checkpoints = checkpoints
        self._micro_batch_size = micro_batch_size
        self._processes = processes
        self._on_rows = on_rows
        self._parameters = list(trainable(pair.student).values())
        self._optimizer = make_optimizer(pair.student, pair.settings)
        self._rows: list[TrainingRow] = []
        self._best: Sequence[Best] = ()
        self._saved_step = 0
        self._saved_at = time.monotonic()
        self._num_positions = self._num_padded = 0

    def resume(self) -> None:
        """Load the latest checkpoint, if there is one."""
        if (latest := self._checkpoints.latest()) is not None:
            self._load(*latest)
        self._processes.start_together(self._parameters, self.step)
        self._on_rows(self._rows)

    def _load(self, step: int, files: Mapping[str, bytes]) -> None:
        try:
            snapshot = from_files(files, self._made_with)
            restore_weights(self.pair.student, snapshot.weights)
            restore_optimizer(self._optimizer, self.pair.student, snapshot.optimizer)
        except IntegrityError as error:
            raise IntegrityError(str(error), self._checkpoints.location(step)) from error
        self.step, self._best, self._rows = snapshot.step, snapshot.best, list(snapshot.rows)
        self._saved_step = snapshot.step

    def update(self, rows: list[Prepared]) -> TrainingRow:
        """Update the weights with this process's rows of a batch.

        Raises `ShardError` before applying a non-finite loss or gradient.
        """
        step = self.step + 1
        rate = learning_rate(step, self._settings)
        set_learning_rate(self._optimizer, rate)
        self._optimizer.zero_grad(set_to_none=True)
        mean = add_gradients(self.pair, rows, self._micro_batch_size, self._processes)
        self._num_positions += mean.num_positions
        self._num_padded += mean.num_padded
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._settings.max_gradient_norm)
        self._refuse_not_finite(step, mean, norm.item())
        self._optimizer.step()
        row = TrainingRow(
            step=step,
            loss=mean.loss,
            ce=mean.ce,
            kl=mean.kl,
            learning_rate=rate,
            mse=mean.mse,
        )
        self._rows.append(row)
        self.step = step
        self._on_rows(self._rows)
        return row

    def _refuse_not_finite(self, step: int, mean: MeanLoss, gradient_norm: float) -> None:
        if not (math.isfinite(mean.loss) and math.isfinite(gradient_norm)):
            raise ShardError(
                f"step {step} of {self._settings.num_steps} has loss {mean.loss}"
                f" (ce {mean.ce}, kl {mean.kl}) and gradient norm {gradient_norm}, expected finite"
                " values: lower distil.peak_learning_rate, now"
                f" {self._settings.peak_learning_rate:g}, raise distil.num_warmup_steps, now"
                f" {self._settings.num_warmup_steps}, or set distil.dtype to float32; the last"
                " checkpoint is kept"
            )

    def is_due(self, every_steps: int) -> bool:
        """Whether what happens every so many steps, and at the end, happens after this step."""
        return self.step == self._settings.num_steps or self.step % every_steps == 0

    def score_if_due(self, validate: Validate | None) -> None:
        """Score the student where that is due, and keep a copy of the weights if they are good.

        Does nothing without `validate`, before the first step, or where the step has its score.
        """
        is_due = self.is_due(self._settings.evaluate_every_steps)
        if (
            validate is None
            or not self._processes.is_first
            or not is_due
            or not self._rows
            or self._rows[-1].validation is not None
        ):
            return
        score = self._score(validate)
        scored = replace(self._rows[-1], validation=score.value)
        reached = Best(steps=(self.step,), score=score, weights=self._weights())
        best = with_scored(self._best, reached, self._settings.average_best)
        # SIGTERM saves at any moment: a row with its score says that the best weights are known
        self._best, self._rows[-1] = best, scored
        self._on_rows(self._rows)

    def save(self) -> None:
        """Write a checkpoint, unless the last one is of this step."""
        if self.step == self._saved_step or not self._processes.is_first:
            return
        weights = self._weights()
        if (name := find_not_finite(weights)) is not None:
            raise ShardError(
                f"after step {self.step} the weights {name} are NaN or infinite: lower"
                " distil.peak_learning_rate, or set distil.dtype to float32; the last checkpoint"
                " is kept"
            )
        snapshot = Snapshot(
            step=self.step,
            weights=weights,
            optimizer=optimizer_tensors(self._optimizer, self.pair.student),
            best=self._best,
            rows=self._rows,
        )
        self._checkpoints.save(self.step, to_files(snapshot, self._made_with))
        self._saved_step, self._saved_at = self.step, time.monotonic()

    def save_if_due(self, every_steps: int, every_s: float) -> None:
        """Write a checkpoint after so many steps, at the end, or so many seconds after the last."""
        if self.is_due(every_steps) or time.monotonic() - self._saved_at >= every_s:
            self.save()

    def result(self, validate: Validate | None, *, waiting_percent: float) -> TrainingResult:
        """The student with its best weights, on the CPU, frozen, without gradients."""
        chosen = self._choose(validate)
        student = self.pair.student.requires_grad_(False)
        student.zero_grad(set_to_none=True)
        module: nn.Module = student  # whose methods have type annotations
        module.to("cpu")
        return TrainingResult(
            student=student,
            rows=tuple(self._rows),
            best_steps=chosen.steps if chosen else (self.step,),
            score=chosen.score if chosen else None,
            waiting_percent=waiting_percent,
            padding_percent=100 * self._num_padded / max(1, self._num_positions),
        )

    def _choose(self, validate: Validate | None) -> Best | None:
        """Give the student its best weights, or the mean of them if that has a lower score."""
        if not self._best:
            return None
        chosen = self._best[0]
        if validate is not None and len(self._best) > 1:
            steps = tuple(one.steps[0] for one in self._best)
            weights = mean_weights(self._best)
            restore_weights(self.pair.student, weights)
            score = self._score(validate)
            if score.value < chosen.score.value:
                return Best(steps=steps, score=score, weights=weights)
        restore_weights(self.pair.student, chosen.weights)
        return chosen

    def _score(self, validate: Validate) -> Score:
        with torch.no_grad(), on_device(self.pair.student, self.pair.device):
            return validate(self.pair.student)

    def _weights(self) -> Tensors:
        """A copy of the weights on the CPU."""
        weights = trainable(self.pair.student).items()
        return {name: value.detach().to("cpu", copy=True) for name, value in weights}
