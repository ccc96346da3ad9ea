"""Teacher and draft beside the teacher alone."""

import copy

import numpy as np
import pytest
import torch

from tasks.evaluate.speculative import measure_speculative
from tasks.whisper.model import LoadedWhisper
from tasks.whisper.whisper import WhisperEngine

BATCH_SIZES = (1, 4, 16)


@pytest.fixture(scope="module")
def waveforms():
    draw = np.random.default_rng(0)
    return [draw.normal(0, 0.1, 16_000).astype(np.float32) for _ in range(6)]


@pytest.fixture(scope="module")
def student(tiny_teacher):
    """One that agrees with the teacher often, not always."""
    model = copy.deepcopy(tiny_teacher.model)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        for weight in model.model.decoder.layers.parameters():
            weight += 0.02 * torch.randn_like(weight)
    return LoadedWhisper(
        model=model,
        feature_extractor=tiny_teacher.feature_extractor,
        tokenizer=tiny_teacher.tokenizer,
    )


def test_tokens_are_identical_and_drafts_counted(tiny_teacher, student, waveforms, label_settings):
    found = measure_speculative(
        tiny_teacher,
        student,
        waveforms,
        label_settings,
        batch_sizes=BATCH_SIZES,
        num_rounds=2,
        num_drafted=4,
    )
    assert [(one.batch_size, one.fallback) for one in found] == [
        (batch_size, fallback)
        for batch_size in BATCH_SIZES
        for fallback in ((False, True) if batch_size == min(BATCH_SIZES) else (False,))
    ]
    for one in found:
        assert one.num_identical == one.num_utterances == len(waveforms)
        assert one.drafted_per_round == 4.0
        assert 0 < one.acceptance_percent < 100
        assert one.tokens_per_round == pytest.approx(1 + 4 * one.acceptance_percent / 100)
        low, high = one.relative_speed_range
        assert 0 < low <= one.relative_speed <= high
    # drafts are the same at any batch size
    greedy = [one.acceptance_percent for one in found if not one.fallback]
    assert greedy == pytest.approx([greedy[0]] * len(greedy), abs=2.0)


def test_without_fallback_only_greedy_decoding_is_measured(
    tiny_teacher, student, waveforms, label_settings
):
    settings = label_settings.model_copy(update={"temperatures": (0.0,)})
    [one] = measure_speculative(
        tiny_teacher, student, waveforms[:2], settings, batch_sizes=(2,), num_rounds=1
    )
    assert not one.fallback
    assert one.num_identical == 2
    # also if drafting turned out not to pay, the warm-up has tried it
    assert one.drafted_per_round >= 1


def test_a_difference_would_be_counted(
    tiny_teacher, student, waveforms, label_settings, monkeypatch
):
    """Every third window of the engine with a draft gets other tokens."""
    decode = WhisperEngine.transcribe

    def wrong(engine, windows, settings):
        if engine._draft_layers is not None:
            windows = (
                window if int(window.id) % 3 else type(window)(window.id, 0 * window.samples)
                for window in windows
            )
        return decode(engine, windows, settings)

    monkeypatch.setattr(WhisperEngine, "transcribe", wrong)
    settings = label_settings.model_copy(update={"temperatures": (0.0,)})
    [one] = measure_speculative(
        tiny_teacher, student, waveforms, settings, batch_sizes=(2,), num_rounds=1
    )
    assert one.num_identical == 4
