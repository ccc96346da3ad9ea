"""Slots that are filled again: whose window lands when, and what is held meanwhile."""

import random

import numpy as np
import pytest
import torch

from configs.schema import Label, Teacher
from tasks.whisper.decoding.decoder import Decoder
from tasks.whisper.decoding.layers import DecoderLayers
from tasks.whisper.decoding.rules import decoding_rules
from tasks.whisper.engine import AudioWindow
from tasks.whisper.flight import ON_CPU, ON_GPU, Flight, Pace

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
def take_off(model, encoded, rules):
    def make(num_slots, pace=ON_CPU):
        def encode(sounds):
            return [encoded[[int(sound.id) for sound in sounds]]]

        decoder = Decoder(DecoderLayers(model), None, rules, num_slots)
        return Flight(decoder, encode, pace, None)

    return make


def sounds(num_sounds):
    return [AudioWindow(str(number), np.zeros(0, np.float32)) for number in range(num_sounds)]


def land_all(flight, waiting):
    landed = []
    while waiting or flight.sounds:
        num_taken = flight.room
        landed += flight.turn(waiting[:num_taken])
        del waiting[:num_taken]
    return landed


def tokens_by_id(landed):
    return {sound.id: answer.tokens for sound, answer in landed}


@pytest.mark.parametrize(
    "pace", [ON_CPU, ON_GPU, Pace(num_encoded=3, num_rounds=2, looks_back=False)]
)
@pytest.mark.parametrize("num_slots", [1, 3, 8, 40])
def test_every_window_lands_once_with_its_own_answer(take_off, num_slots, pace):
    """Defect 3: twenty-three windows in any number of slots, and none is lost."""
    alone = land_all(take_off(1), sounds(NUM_WINDOWS))
    landed = land_all(take_off(num_slots, pace), sounds(NUM_WINDOWS))
    assert len(landed) == NUM_WINDOWS
    assert tokens_by_id(landed) == tokens_by_id(alone)


def test_a_slot_is_filled_as_soon_as_its_window_has_ended(take_off):
    flight, waiting = take_off(4), sounds(NUM_WINDOWS)
    while len(waiting) > 4:
        num_taken = flight.room
        landed = flight.turn(waiting[:num_taken])
        del waiting[:num_taken]
        # those that are encoded ahead wait for the slots that have just become free
        assert len(flight.sounds) + len(landed) >= 4


def test_no_more_is_taken_than_there_are_slots_and_one_batch_ahead(take_off):
    flight, waiting = take_off(5), sounds(NUM_WINDOWS)
    assert flight.room == 8
    while waiting:
        num_taken = flight.room
        flight.turn(waiting[:num_taken])
        del waiting[:num_taken]
        assert len(flight.sounds) <= 5 + ON_CPU.num_encoded


def test_nothing_is_done_without_windows(take_off):
    flight = take_off(4)
    assert flight.turn([]) == []
    assert flight.sounds == []


def test_rows_close_ranks_at_the_end(take_off, monkeypatch):
    """The last long windows are not decoded beside the places of those that have ended."""
    num_rows = []
    go_on = Decoder.go_on

    def watched(decoder, rows, longest, *, speculate, samples):
        num_rows.append(rows)
        return go_on(decoder, rows, longest, speculate=speculate, samples=samples)

    monkeypatch.setattr(Decoder, "go_on", watched)
    land_all(take_off(8), sounds(12))
    assert num_rows[0] == 8
    assert num_rows == sorted(num_rows, reverse=True)
    assert num_rows[-1] < 4


@pytest.mark.parametrize("pace", [ON_CPU, ON_GPU])
@pytest.mark.parametrize("method", ["begin", "__call__"])
def test_what_was_on_its_way_is_known_after_a_failure(take_off, monkeypatch, pace, method):
    draw = random.Random(0)
    fails = [False]
    working = getattr(DecoderLayers, method)

    def failing(*arguments):
        if fails[0] and draw.random() < 0.3:
            raise torch.OutOfMemoryError("no memory")
        return working(*arguments)

    monkeypatch.setattr(DecoderLayers, method, failing)
    flight, waiting, landed = take_off(5, pace), sounds(NUM_WINDOWS), []
    for turn in range(200):
        fails[0] = turn > 3
        taken = waiting[: flight.room]
        del waiting[: len(taken)]
        try:
            landed += [sound.id for sound, _ in flight.turn(taken)]
        except torch.OutOfMemoryError:
            break
    kept = [sound.id for sound in (*flight.sounds, *waiting)]
    assert turn > 3
    assert sorted([*landed, *kept]) == sorted(sound.id for sound in sounds(NUM_WINDOWS))
