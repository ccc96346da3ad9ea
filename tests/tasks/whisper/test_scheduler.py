"""Continuous batching: refilled slots, bounded look-ahead, and recovery after failures."""

import random

import numpy as np
import pytest
import torch

from configs.schema import Label, Teacher
from tasks.whisper.decoding.decoder import Decoder
from tasks.whisper.decoding.layers import DecoderLayers
from tasks.whisper.decoding.rules import decoding_rules
from tasks.whisper.engine import AudioWindow
from tasks.whisper.scheduler import (
    CPU_SCHEDULE,
    GPU_SCHEDULE,
    BatchScheduler,
    QueuedWindow,
    Schedule,
)

NUM_WINDOWS = 23


@pytest.fixture(scope="module")
def model(make_whisper):
    return make_whisper(3)


@pytest.fixture(scope="module")
def encoded(model, make_features):
    with torch.inference_mode():
        return model.model.encoder(make_features(NUM_WINDOWS)).last_hidden_state


@pytest.fixture(scope="module")
def rules(model):
    settings = Label(teacher=Teacher(path="unused"), max_new_tokens=30)
    return decoding_rules(model.generation_config, model.config, settings)


@pytest.fixture
def make_scheduler(model, encoded, rules):
    def make(num_slots, schedule=CPU_SCHEDULE):
        def encode(windows):
            return encoded[[int(window.id) for window in windows]]

        decoder = Decoder(DecoderLayers(model), None, rules, num_slots)
        return BatchScheduler(decoder, encode, schedule, None)

    return make


def windows(num_sounds):
    silence = np.zeros(0, np.float32)
    return [QueuedWindow(AudioWindow(str(number), silence)) for number in range(num_sounds)]


def run(scheduler, waiting):
    ended = []
    while waiting or scheduler.unfinished:
        num_wanted = scheduler.num_wanted
        ended += scheduler.advance(waiting[:num_wanted])
        del waiting[:num_wanted]
    return ended


def tokens_by_id(ended):
    return {queued.window.id: hypothesis.tokens for queued, hypothesis in ended}


@pytest.mark.parametrize(
    "schedule",
    [CPU_SCHEDULE, GPU_SCHEDULE, Schedule(encoder_batch_size=3, num_steps=2, is_pipelined=False)],
)
@pytest.mark.parametrize("num_slots", [1, 3, 8, 40])
def test_every_window_ends_once_with_its_own_hypothesis(make_scheduler, num_slots, schedule):
    """Defect 3: with any number of slots, none of twenty-three windows is lost."""
    alone = run(make_scheduler(1), windows(NUM_WINDOWS))
    ended = run(make_scheduler(num_slots, schedule), windows(NUM_WINDOWS))
    assert len(ended) == NUM_WINDOWS
    assert tokens_by_id(ended) == tokens_by_id(alone)


def test_a_slot_is_refilled_as_soon_as_its_window_has_ended(make_scheduler):
    scheduler, waiting = make_scheduler(4), windows(NUM_WINDOWS)
    while len(waiting) > 4:
        num_wanted = scheduler.num_wanted
        ended = scheduler.advance(waiting[:num_wanted])
        del waiting[:num_wanted]
        # windows that are encoded ahead fill the slots that have just become free
        assert len(scheduler.unfinished) + len(ended) >= 4


def test_at_most_one_encoder_batch_is_taken_beyond_the_slots(make_scheduler):
    scheduler, waiting = make_scheduler(5), windows(NUM_WINDOWS)
    assert scheduler.num_wanted == 8
    while waiting:
        num_wanted = scheduler.num_wanted
        scheduler.advance(waiting[:num_wanted])
        del waiting[:num_wanted]
        assert len(scheduler.unfinished) <= 5 + CPU_SCHEDULE.encoder_batch_size


def test_advancing_without_windows_does_nothing(make_scheduler):
    scheduler = make_scheduler(4)
    assert scheduler.advance([]) == []
    assert scheduler.unfinished == []


def test_rows_are_compacted_at_the_end(make_scheduler, monkeypatch):
    """The last long windows are not decoded together with rows that have ended."""
    num_rows = []
    go_on = Decoder.step

    def watched(decoder, rows, longest, *, num_drafted, samples):
        num_rows.append(rows)
        return go_on(decoder, rows, longest, num_drafted=num_drafted, samples=samples)

    monkeypatch.setattr(Decoder, "step", watched)
    run(make_scheduler(8), windows(12))
    assert num_rows[0] == 8
    assert num_rows == sorted(num_rows, reverse=True)
    assert num_rows[-1] < 4


@pytest.mark.parametrize("schedule", [CPU_SCHEDULE, GPU_SCHEDULE])
@pytest.mark.parametrize("method", ["prefill", "__call__"])
def test_unfinished_windows_are_known_after_a_failure(
    make_scheduler, monkeypatch, schedule, method
):
    draw = random.Random(0)
    fails = [False]
    working = getattr(DecoderLayers, method)

    def failing(*arguments):
        if fails[0] and draw.random() < 0.3:
            raise torch.OutOfMemoryError("no memory")
        return working(*arguments)

    monkeypatch.setattr(DecoderLayers, method, failing)
    scheduler, waiting, ended = make_scheduler(5, schedule), windows(NUM_WINDOWS), []
    for call in range(200):
        fails[0] = call > 3
        taken = waiting[: scheduler.num_wanted]
        del waiting[: len(taken)]
        try:
            ended += [queued.window.id for queued, _ in scheduler.advance(taken)]
        except torch.OutOfMemoryError:
            break
    kept = [window.id for window in scheduler.unfinished]
    kept += [queued.window.id for queued in waiting]
    assert call > 3
    assert sorted([*ended, *kept]) == sorted(queued.window.id for queued in windows(NUM_WINDOWS))
