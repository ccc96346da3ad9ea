"""Parallel schedulers divide the cores, and results do not depend on their speed."""

import random
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tasks.whisper.decoding.layers import DecoderLayers
from tasks.whisper.engine import AudioWindow
from tasks.whisper.parallel import num_schedulers, parallel_schedulers
from tasks.whisper.scheduler import BatchScheduler
from tasks.whisper.whisper import WhisperEngine

NUM_THREADS = 4
NUM_WINDOWS = 41


@pytest.fixture(autouse=True)
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(NUM_THREADS)
    yield
    assert torch.get_num_threads() == NUM_THREADS
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def windows():
    draw = np.random.default_rng(1)
    lengths = draw.integers(1_000, 32_000, NUM_WINDOWS)
    return [
        AudioWindow(f"w{index}", draw.normal(0, 0.1, length).astype(np.float32))
        for index, length in enumerate(lengths)
    ]


@pytest.mark.parametrize(
    ("num_slots", "device", "expected"),
    [(1, "cpu", 1), (15, "cpu", 1), (16, "cpu", 2), (64, "cpu", NUM_THREADS), (64, "cuda", 1)],
)
def test_each_scheduler_has_a_core_and_enough_slots(num_slots, device, expected):
    assert num_schedulers(num_slots, torch.device(device)) == expected


def transcribe(engine, windows, settings):
    return [(window.id, result) for window, result in engine.transcribe(windows, settings)]


def test_each_window_is_transcribed_once_as_if_alone(tiny_teacher, windows, label_settings):
    together = transcribe(WhisperEngine(tiny_teacher, 24), windows, label_settings)
    alone = dict(transcribe(WhisperEngine(tiny_teacher, 1), windows, label_settings))
    assert sorted(name for name, _ in together) == sorted(alone)
    assert all(result.tokens == alone[name].tokens for name, result in together)


def test_order_and_last_bits_do_not_depend_on_thread_speed(
    tiny_teacher, windows, label_settings, monkeypatch
):
    first = transcribe(WhisperEngine(tiny_teacher, 24), windows, label_settings)
    working = BatchScheduler.advance

    def unsteady(scheduler, given):
        time.sleep(random.random() * 0.004)
        return working(scheduler, given)

    monkeypatch.setattr(BatchScheduler, "advance", unsteady)
    assert transcribe(WhisperEngine(tiny_teacher, 24), windows, label_settings) == first


def test_schedulers_divide_the_threads_of_torch(tiny_teacher, windows, label_settings, monkeypatch):
    seen = set()
    working = DecoderLayers.__call__

    def watched(layers, *arguments):
        seen.add(torch.get_num_threads())
        return working(layers, *arguments)

    monkeypatch.setattr(DecoderLayers, "__call__", watched)
    assert len(transcribe(WhisperEngine(tiny_teacher, 16), windows, label_settings)) == NUM_WINDOWS
    assert seen == {NUM_THREADS // 2}


def test_running_out_of_memory_in_one_scheduler_loses_nothing(
    tiny_teacher, windows, label_settings, monkeypatch
):
    whole = dict(transcribe(WhisperEngine(tiny_teacher, 1), windows, label_settings))
    working, calls = DecoderLayers.prefill, []

    def failing(layers, *arguments):
        calls.append(1)
        if len(calls) == 7:
            raise torch.OutOfMemoryError("no memory")
        return working(layers, *arguments)

    monkeypatch.setattr(DecoderLayers, "prefill", failing)
    found = transcribe(WhisperEngine(tiny_teacher, 32), windows, label_settings)
    assert len(found) == NUM_WINDOWS
    assert {name: result.tokens for name, result in found} == {
        name: result.tokens for name, result in whole.items()
    }


def test_an_error_in_a_scheduler_is_raised_in_the_caller(
    tiny_teacher, windows, label_settings, monkeypatch
):
    def broken(*_):
        raise ValueError("broken weights")

    monkeypatch.setattr(DecoderLayers, "__call__", broken)
    with pytest.raises(ValueError, match="broken weights"):
        transcribe(WhisperEngine(tiny_teacher, 32), windows, label_settings)


def test_advancing_stops_when_more_windows_are_wanted():
    class Counted:
        """A scheduler that wants windows after three calls, and has none left after five."""

        def __init__(self) -> None:
            self.num_calls = 0

        @property
        def num_wanted(self) -> int:
            return int(self.num_calls >= 3)

        @property
        def unfinished(self) -> range:
            return range(5 - self.num_calls)

        def advance(self, given):
            self.num_calls += 1
            return []

    with parallel_schedulers(1) as advance_all:
        until_wanted, to_the_end = Counted(), Counted()
        advance_all([(until_wanted, [])], False)
        advance_all([(to_the_end, [])], True)
    assert (until_wanted.num_calls, to_the_end.num_calls) == (3, 5)
