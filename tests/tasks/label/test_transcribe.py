import logging

import numpy as np
import pytest
import torch

from storage.errors import ShardError
from storage.outcome import LeftOut, quarantined
from tasks.label.transcribe import compression_ratio, transcribe_all

NUM_WINDOWS = 7


@pytest.fixture
def waveforms():
    random = np.random.default_rng(0)
    return [random.normal(0, 0.1, 16_000).astype(np.float32) for _ in range(NUM_WINDOWS)]


@pytest.fixture
def memory(tiny_teacher):
    """Lets the encoder run out of memory above a number of windows."""
    limit = [NUM_WINDOWS]

    def refuse(_, inputs):
        if len(inputs[0]) > limit[0]:
            raise torch.OutOfMemoryError("no memory")

    hook = tiny_teacher.model.model.encoder.register_forward_pre_hook(refuse)
    yield limit
    hook.remove()


def texts(teacher, windows, settings, batch_size):
    batches = transcribe_all(teacher, windows, lambda waveform: waveform, settings, batch_size)
    found = [pair for batch in batches if not isinstance(batch, LeftOut) for pair in batch]
    assert all(waveform is given for (waveform, _), given in zip(found, windows, strict=True))
    return [transcript.tokens for _, transcript in found]


def test_every_batch_size_hears_the_same(tiny_teacher, waveforms, label_settings):
    """Defect 3: seven windows in batches of three, and the last is not lost."""
    whole = texts(tiny_teacher, waveforms, label_settings, NUM_WINDOWS)
    assert len(whole) == NUM_WINDOWS
    for batch_size in (1, 3, 100):
        assert texts(tiny_teacher, waveforms, label_settings, batch_size) == whole


def test_without_memory_batches_are_halved_and_tokens_stay(
    tiny_teacher, waveforms, label_settings, memory, caplog
):
    whole = texts(tiny_teacher, waveforms, label_settings, NUM_WINDOWS)
    memory[0] = 3
    with caplog.at_level(logging.WARNING):
        assert texts(tiny_teacher, waveforms, label_settings, 4) == whole
    assert [record.getMessage() for record in caplog.records] == [
        "no memory for a batch of 4 windows on cpu; going on with batches of 2"
    ]


def test_no_memory_for_one_window_is_an_error(tiny_teacher, waveforms, label_settings, memory):
    memory[0] = 0
    with pytest.raises(ShardError, match="cpu has no memory for a single window"):
        texts(tiny_teacher, waveforms, label_settings, 4)


def test_what_is_left_out_passes_by(tiny_teacher, waveforms, label_settings):
    broken = quarantined("u", "unreadable_audio")
    stream = [waveforms[0], broken, waveforms[1]]
    found = list(transcribe_all(tiny_teacher, stream, lambda one: one, label_settings, 8))
    assert found[0] is broken
    assert len(found[1]) == 2


def test_no_more_than_a_batch_is_held(tiny_teacher, waveforms, label_settings):
    taken = []

    def stream():
        for waveform in waveforms:
            taken.append(1)
            yield waveform

    next(transcribe_all(tiny_teacher, stream(), lambda one: one, label_settings, 2))
    assert len(taken) == 2


def test_signals_are_within_their_bounds(tiny_teacher, waveforms, label_settings):
    ((batch),) = transcribe_all(tiny_teacher, waveforms, lambda one: one, label_settings, 8)
    for _, transcript in batch:
        assert transcript.avg_logprob < 0
        assert 0 <= transcript.no_speech_prob <= 1
        assert transcript.text == transcript.text.strip()
        assert "<|" not in transcript.text


def test_a_loop_compresses_well():
    assert compression_ratio("no no no no " * 30) > 2.4
    assert compression_ratio("the boat was very small") < 1
    assert compression_ratio("") == 0
