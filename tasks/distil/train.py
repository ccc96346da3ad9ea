"""The training loop: updates, validation, checkpoints."""

import math
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from functools import partial
from typing import Protocol

import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from configs.schema import Distil
from tasks.distil.batch import Prepared, Preparer
from tasks.distil.best import Score
from tasks.distil.checkpoint import Checkpoints
from tasks.distil.encode import TeacherEncoder
from tasks.distil.feed import Feed, first_rows
from tasks.distil.initial import initial_student
from tasks.distil.layers import NUM_CHOICE_WINDOWS
from tasks.distil.parallel.processes import ALONE, Processes
from tasks.distil.progress.rows import OnRows, ignored
from tasks.distil.training import Training, TrainingResult, Validate
from tasks.distil.update.pair import Pair, make_pair, ready_teacher
from tasks.distil.update.step import mean_loss
from tasks.read_ahead import read_ahead
from tasks.reading.examples import Example, ExampleSource
from tasks.termination import LedByAnother, SavedFirst
from tasks.whisper.encoding.cache import OutputCache
from tasks.whisper.tokens import SpecialTokens


class OnStep(Protocol):
    """Called after every update, with losses as in `TrainingRow`."""

    def __call__(
        self,
        step: int,
        num_steps: int,
        loss: float,
        ce: float,
        kl: float,
        learning_rate: float,
        mse: float,
        /,
    ) -> None:
        """`step` counts from 1."""
        ...


def distil(
    teacher: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    examples: ExampleSource,
    validation: Collection[Example],
    settings: Distil,
    *,
    device: torch.device | str,
    micro_batch_size: int,
    checkpoints: Checkpoints,
    encoder_cache: OutputCache | None = None,
    teacher_cache: OutputCache | None = None,
    on_step: OnStep | None = None,
    on_rows: OnRows = ignored,
    validate: Validate | None = None,
    checkpoint_every_steps: int | None = None,
    checkpoint_every_s: float = math.inf,
    num_read_threads: int = 1,
    recomputes: bool = False,
    compiles: bool = False,
    processes: Processes = ALONE,
) -> TrainingResult:
    """Distil a student from `teacher`, resuming from the latest checkpoint if there is one.

    The weights with the lowest score are returned, or the mean of the best `average_best`. The
    score is `validate(student)`, called on its device and without gradients, or else the loss on
    `validation`. It is computed every `evaluate_every_steps` and at the end. Checkpoints are
    written every `checkpoint_every_steps`, by default `evaluate_every_steps`, and once
    `checkpoint_every_s` seconds have passed since the last. With an `encoder_cache`, which a
    trained encoder cannot use, audio is encoded once; with a `teacher_cache` the teacher's decoder
    runs once for each label. For `recomputes` and `compiles` see `make_pair`. A resumed training
    ends with the same weights as an uninterrupted one, bit by bit in float32 on the CPU. On SIGTERM
    a checkpoint is saved once the current update is done, before the signal takes effect. With
    several `processes`, each calls this; the result is that of the first, and the same for any
    number of them but for rounding. The teacher is frozen, and its decoder moved to the device.

    Raises `UserError` for more layers than the teacher has, `ShardError` for an example that does
    not fit the model or a non-finite loss, `IntegrityError` for a checkpoint of other settings.
    """
    special = SpecialTokens.of(processor.tokenizer)
    preparer = _preparer(processor, special, teacher, settings, encoder_cache, teacher_cache)
    ready_teacher(teacher, torch.device(device), settings)
    dtype = getattr(torch, settings.dtype)
    encode = TeacherEncoder(teacher, torch.device(device), dtype, encoder_cache)
    windows = partial(first_rows, examples, preparer, NUM_CHOICE_WINDOWS, num_read_threads)
    pair = _pair(
        teacher, encode, settings, windows, special.end_id, teacher_cache, recomputes, compiles
    )
    training = Training(pair, checkpoints, micro_batch_size, processes, on_rows)
    training.resume()
    validate = validate or _loss_on(validation, pair, preparer, micro_batch_size, num_read_threads)
    feed = Feed(
        examples,
        preparer,
        num_consumed=training.step * settings.batch_size,
        batch_size=settings.batch_size,
        num_threads=num_read_threads,
        processes=processes,
    )
    checkpoint_every = checkpoint_every_steps or settings.evaluate_every_steps
    ending = SavedFirst(training.save) if processes.is_first else LedByAnother()
    with closing(feed), ending:
        training.score_if_due(validate)  # it was stopped between an update and its score
        while training.step < settings.num_steps:
            rows = feed.next_batch()
            with ending.undivided():
                row = training.update(rows)
            if on_step is not None:
                values = row.loss, row.ce, row.kl, row.learning_rate, row.mse
                on_step(row.step, settings.num_steps, *values)
            training.score_if_due(validate)
            with ending.undivided():
                training.save_if_due(checkpoint_every, checkpoint_every_s)
    return training.result(validate, waiting_percent=feed.waiting_percent)


def _pair(
    teacher: WhisperForConditionalGeneration,
    encode: TeacherEncoder,
    settings: Distil,
    windows: Callable[[], Sequence[Prepared]],
    padding_id: int,
    teacher_cache: OutputCache | None,
    recomputes: bool,
    compiles: bool,
) -> Pair:
    return make_pair(
        teacher,
        initial_student(teacher, encode, settings, windows, padding_id),
        encode,
        settings,
        padding_id,
        teacher_cache=teacher_cache,
        recomputes=recomputes,
        compiles=compiles,
    )


def _preparer(
    processor: WhisperProcessor,
    special: SpecialTokens,
    teacher: WhisperForConditionalGeneration,
    settings: Distil,
    encoder_cache: OutputCache | None,
    teacher_cache: OutputCache | None,
) -> Preparer:
    return Preparer(
        processor.feature_extractor,
        special,
        teacher.config.max_target_positions,
        encoder_cache,
        teacher_cache,
        trains_prompt=settings.trains_prompt,
        spec_augment=settings.spec_augment,
    )


def _loss_on(
    validation: Collection[Example],
    pair: Pair,
    preparer: Preparer,
    micro_batch_size: int,
    num_threads: int,
) -> Validate | None:
    """The loss on `validation` as a score; None if it is empty."""
    if not validation:
        return None

    def score(student: WhisperForConditionalGeneration) -> Score:
        prepared = read_ahead(
            iter(validation), preparer, num_threads=num_threads, num_ahead=2 * micro_batch_size
        )
        with closing(prepared):
            return Score(mean_loss(pair, prepared, micro_batch_size).loss)

    return score
