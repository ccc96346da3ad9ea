"""The training loop: updates, validation, checkpoints."""

from collections.abc import Collection
from contextlib import closing
from functools import partial

import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from configs.schema import Distil
from tasks.distil.batch import Preparer
from tasks.distil.best import Score
from tasks.distil.checkpoint import Checkpoints
from tasks.distil.encode import TeacherEncoder
from tasks.distil.execution import Execution
from tasks.distil.feed import Feed, first_rows
from tasks.distil.initial import initial_student
from tasks.distil.layers import NUM_CHOICE_WINDOWS
from tasks.distil.progress.rows import OnRows, OnStep, ignored
from tasks.distil.training import Training, TrainingResult, Validate
from tasks.distil.update.pair import Pair, make_pair, ready_teacher
from tasks.distil.update.step import mean_loss
from tasks.read_ahead import read_ahead
from tasks.reading.examples import Example, ExampleSource
from tasks.termination import LedByAnother, SavedFirst
from tasks.whisper.tokens import SpecialTokens


def distil(
    teacher: WhisperForConditionalGeneration,
    processor: WhisperProcessor,
    examples: ExampleSource,
    validation: Collection[Example],
    settings: Distil,
    execution: Execution,
    checkpoints: Checkpoints,
    *,
    on_step: OnStep | None = None,
    on_rows: OnRows = ignored,
    validate: Validate | None = None,
) -> TrainingResult:
    """Distil a student from `teacher`, resuming from the latest checkpoint if there is one.

    The weights with the lowest score are returned, or the mean of the best `average_best`. The
    score is `validate(student)`, called on its device and without gradients, or else the loss on
    `validation`. It is computed every `evaluate_every_steps` and at the end. A resumed training
    ends with the same weights as an uninterrupted one, bit by bit in float32 on the CPU. On SIGTERM
    a checkpoint is saved once the current update is done, before the signal takes effect. The
    teacher is frozen, and its decoder moved to the device.

    Raises `UserError` for more layers than the teacher has, `ShardError` for an example that does
    not fit the model or a non-finite loss, `IntegrityError` for a checkpoint of other settings.
    """
    processes = execution.processes
    preparer = _preparer(processor, teacher, settings, execution)
    pair = _pair(teacher, examples, preparer, settings, execution)
    training = Training(pair, checkpoints, execution.micro_batch_size, processes, on_rows)
    training.resume()
    validate = validate or _loss_on(validation, pair, preparer, execution)
    feed = Feed(
        examples,
        preparer,
        num_consumed=training.step * settings.batch_size,
        batch_size=settings.batch_size,
        num_threads=execution.num_read_threads,
        processes=processes,
    )
    checkpoint_every = execution.checkpoint_every_steps or settings.evaluate_every_steps
    ending = SavedFirst(training.save) if processes.is_first else LedByAnother()
    with closing(feed), ending:
        training.score_if_due(validate)  # it was stopped between an update and its score
        while training.step < settings.num_steps:
            rows = feed.next_batch()
            with ending.undivided():
                row = training.update(rows)
            if on_step is not None:
                on_step(row)
            training.score_if_due(validate)
            with ending.undivided():
                training.save_if_due(checkpoint_every, execution.checkpoint_every_s)
    return training.result(validate, waiting_percent=feed.waiting_percent)


def _pair(
    teacher: WhisperForConditionalGeneration,
    examples: ExampleSource,
    preparer: Preparer,
    settings: Distil,
    execution: Execution,
) -> Pair:
    """The teacher, made ready, and its student; the first `examples` may decide its layers."""
    ready_teacher(teacher, execution.device, settings)
    dtype, num_threads = getattr(torch, settings.dtype), execution.num_read_threads
    encode = TeacherEncoder(teacher, execution.device, dtype, execution.encoder_cache)
    windows = partial(first_rows, examples, preparer, NUM_CHOICE_WINDOWS, num_threads)
    padding_id = preparer.special.end_id
    return make_pair(
        teacher,
        initial_student(teacher, encode, settings, windows, padding_id),
        encode,
        settings,
        padding_id,
        teacher_cache=execution.teacher_cache,
        recomputes=execution.recomputes,
        compiles=execution.compiles,
    )


def _preparer(
    processor: WhisperProcessor,
    teacher: WhisperForConditionalGeneration,
    settings: Distil,
    execution: Execution,
) -> Preparer:
    return Preparer(
        processor.feature_extractor,
        SpecialTokens.of(processor.tokenizer),
        teacher.config.max_target_positions,
        execution.encoder_cache,
        execution.teacher_cache,
        trains_prompt=settings.trains_prompt,
        spec_augment=settings.spec_augment,
    )


def _loss_on(
    validation: Collection[Example],
    pair: Pair,
    preparer: Preparer,
    execution: Execution,
) -> Validate | None:
    """The loss on `validation` as a score; None if it is empty."""
    if not validation:
        return None
    num_rows = execution.micro_batch_size

    def score(student: WhisperForConditionalGeneration) -> Score:
        prepared = read_ahead(
            iter(validation),
            preparer,
            num_threads=execution.num_read_threads,
            num_ahead=2 * num_rows,
        )
        with closing(prepared):
            return Score(mean_loss(pair, prepared, num_rows).loss)

    return score
