"""The engine as a whole, from audio to text: out-of-memory recovery, threads, sampling."""

import copy
import dataclasses
import logging
import random
import threading

import numpy as np
import pytest
import torch

from configs.schema import Label, Teacher
from storage.errors import ShardError, UserError
from tasks.whisper.decoding import cache
from tasks.whisper.decoding.layers import DecoderLayers
from tasks.whisper.encoding import features
from tasks.whisper.encoding.encoder import EncoderLayers
from tasks.whisper.encoding.windows import WindowEncoder
from tasks.whisper.engine import AudioWindow
from tasks.whisper.transcribe import transcribe_all
from tasks.whisper.whisper import WhisperEngine

NUM_WINDOWS = 13


@pytest.fixture(scope="module")
def windows():
    draw = np.random.default_rng(0)
    lengths = draw.integers(1_000, 32_000, NUM_WINDOWS)
    return [
        AudioWindow(f"w{index}", draw.normal(0, 0.1, length).astype(np.float32))
        for index, length in enumerate(lengths)
    ]


def transcribe(engine, windows, settings, temperature=0.0):
    at = [dataclasses.replace(window, temperature=temperature) for window in windows]
    found = list(engine.transcribe(at, settings))
    by_id = {window.id: result for window, result in found}
    assert len(by_id) == len(found)
    return by_id


def tokens_of(results):
    return {name: result.tokens for name, result in sorted(results.items())}


@pytest.fixture(scope="module")
def whole(tiny_teacher, windows):
    settings = Label(teacher=Teacher(path="unused"), max_new_tokens=12)
    return tokens_of(transcribe(WhisperEngine(tiny_teacher, 4), windows, settings))


def test_tokens_are_equal_at_every_batch_size(tiny_teacher, windows, label_settings, whole):
    assert len(whole) == NUM_WINDOWS
    for batch_size in (1, 3, 64):
        engine = WhisperEngine(tiny_teacher, batch_size)
        assert tokens_of(transcribe(engine, windows, label_settings)) == whole
        # the second call reuses the same memory
        assert tokens_of(transcribe(engine, windows[::-1], label_settings)) == whole


def test_results_are_within_their_bounds(tiny_teacher, windows, label_settings):
    for result in transcribe(WhisperEngine(tiny_teacher, 4), windows, label_settings).values():
        assert result.avg_logprob < 0
        assert 0 <= result.no_speech_prob <= 1
        assert result.text == result.text.strip()
        assert "<|" not in result.text
        end = tiny_teacher.model.generation_config.eos_token_id
        assert result.has_end == (result.tokens[-1] == end)


def test_the_average_log_probability_is_defined_as_in_whisper(
    tiny_teacher, windows, label_settings
):
    """The sum over all generated tokens, divided by the number before the end token plus one."""
    model, engine = tiny_teacher.model, WhisperEngine(tiny_teacher, 4)
    generation = model.generation_config
    for window in windows:
        ((_, result),) = engine.transcribe([window], label_settings)
        features = tiny_teacher.feature_extractor(
            window.samples, sampling_rate=16_000, return_tensors="pt"
        ).input_features
        with torch.inference_mode():
            logits = model(features, decoder_input_ids=torch.tensor([result.tokens])).logits[0]
        logprobs = logits[3:-1].log_softmax(-1)
        sampled = zip(logprobs, result.tokens[4:], strict=True)
        total = sum(row[token].item() for row, token in sampled)
        num_before_end = len(result.tokens) - 4 - result.has_end
        assert generation.suppress_tokens is None
        assert result.avg_logprob == pytest.approx(total / (num_before_end + 1), abs=1e-3)


def test_an_unknown_language_is_a_user_error(tiny_teacher, windows, label_settings):
    settings = label_settings.model_copy(update={"language": "xx"})
    with pytest.raises(UserError, match="cannot transcribe the language 'xx'"):
        transcribe(WhisperEngine(tiny_teacher, 4), windows, settings)


def test_no_more_than_a_batch_is_drawn_ahead(tiny_teacher, windows, label_settings):
    taken = []

    def stream():
        for window in windows:
            taken.append(window)
            yield window

    next(WhisperEngine(tiny_teacher, 2).transcribe(stream(), label_settings))
    assert len(taken) <= 4


def test_sampling_depends_on_window_and_temperature_only(tiny_teacher, windows, label_settings):
    found = {
        (batch_size, temperature): tokens_of(
            transcribe(
                WhisperEngine(tiny_teacher, batch_size), windows, label_settings, temperature
            )
        )
        for batch_size in (1, 5)
        for temperature in (0.4, 1.0)
    }
    assert found[1, 0.4] == found[5, 0.4]
    assert found[1, 1.0] == found[5, 1.0]
    assert found[1, 0.4] != found[1, 1.0]
    renamed = [AudioWindow(f"other {window.id}", window.samples) for window in windows]
    other = transcribe(WhisperEngine(tiny_teacher, 5), renamed, label_settings, 1.0)
    assert list(tokens_of(other).values()) != list(found[5, 1.0].values())


def encoded_seeks(monkeypatch):
    """Records from which frame each encoder input begins, by window id."""
    seeks = []
    encode = WindowEncoder.__call__

    def watched(encoder, batch):
        seeks.extend((window.id, window.covered.seek) for window in batch)
        return encode(encoder, batch)

    monkeypatch.setattr(WindowEncoder, "__call__", watched)
    return seeks


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_fallback_encodes_nothing_again(
    tiny_teacher, windows, label_settings, monkeypatch, batch_size
):
    """Random weights fail the checks at every temperature."""
    seeks = encoded_seeks(monkeypatch)
    settings = label_settings.model_copy(update={"min_avg_logprob": -0.1})
    stream = [(window.id, window) for window in windows]
    found = dict(transcribe_all(WhisperEngine(tiny_teacher, batch_size), stream, settings))
    assert {transcript.temperature for transcript in found.values()} == {1.0}
    assert sorted(seeks) == sorted((window.id, 0) for window in windows)


def test_a_label_with_timestamps_is_that_of_decoding_each_part_alone(
    tiny_teacher, windows, label_settings, monkeypatch
):
    """Continuations are decoded in a batch with other windows, and each is encoded once."""
    seeks = encoded_seeks(monkeypatch)
    settings = label_settings.model_copy(update={"timestamps": True, "temperatures": (0.0,)})
    stream = [(window.id, window) for window in windows]
    together = dict(transcribe_all(WhisperEngine(tiny_teacher, 8), stream, settings))
    assert len(set(seeks)) == len(seeks) > NUM_WINDOWS
    engine = WhisperEngine(tiny_teacher, 1)
    for window in windows:
        part = window
        while part is not None:
            ((_, result),) = engine.transcribe([part], settings)
            rest = result.rest
            part = dataclasses.replace(window, covered=rest) if rest is not None else None
        assert together[window.id].tokens == result.tokens
        assert together[window.id].text == result.text


class Memory:
    """Runs out of memory at chosen calls of a function, or always above a number of windows."""

    def __init__(self, monkeypatch, owner, name):
        self.calls, self.fails_at, self.most = 0, set(), None
        working = getattr(owner, name)

        def watched(first, *others, **named):
            self.calls += 1
            num_windows = next((len(one) for one in others if isinstance(one, torch.Tensor)), 0)
            if self.calls in self.fails_at or (self.most and num_windows > self.most):
                raise torch.OutOfMemoryError("no memory")
            return working(first, *others, **named)

        monkeypatch.setattr(owner, name, watched)


STEPS = {
    "caches": (cache.KVCache, "__init__"),
    "features": (features.LogMel, "__call__"),
    "encoder": (EncoderLayers, "__call__"),
    "projection": (DecoderLayers, "prefill"),
    "decoder": (DecoderLayers, "__call__"),
    "logits": (DecoderLayers, "logits"),
}


@pytest.mark.parametrize("draft", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_running_out_of_memory_halves_the_batch_and_keeps_tokens(
    tiny_teacher, windows, label_settings, whole, monkeypatch, caplog, step, draft
):
    memory = Memory(monkeypatch, *STEPS[step])
    drafting = (tiny_teacher,) if draft else ()
    assert tokens_of(transcribe(WhisperEngine(tiny_teacher, 4, *drafting), windows, label_settings))
    indices = random.Random(0).sample(range(1, memory.calls + 1), min(memory.calls, 6))
    for index in indices:
        memory.calls, memory.fails_at = 0, {index}
        caplog.clear()
        engine = WhisperEngine(tiny_teacher, 4, *drafting)
        with caplog.at_level(logging.WARNING):
            assert tokens_of(transcribe(engine, windows, label_settings)) == whole
        assert [record.getMessage() for record in caplog.records] == [
            "out of memory with a batch of 4 windows on cpu; continuing with batches of 2"
        ]
        caplog.clear()
        assert tokens_of(transcribe(engine, windows, label_settings)) == whole
        assert not caplog.records


def test_the_batch_is_halved_repeatedly(
    tiny_teacher, windows, label_settings, whole, monkeypatch, caplog
):
    memory = Memory(monkeypatch, *STEPS["encoder"])
    memory.most = 1
    with caplog.at_level(logging.WARNING):
        found = transcribe(WhisperEngine(tiny_teacher, 4), windows, label_settings)
    assert tokens_of(found) == whole
    assert [record.getMessage()[-12:] for record in caplog.records] == [
        "batches of 2",
        "batches of 1",
    ]


def test_running_out_of_memory_with_one_window_is_an_error(
    tiny_teacher, windows, label_settings, monkeypatch
):
    memory = Memory(monkeypatch, *STEPS["logits"])
    memory.fails_at = range(1, 1_000)
    with pytest.raises(ShardError, match="cpu has no memory for a single window: no memory"):
        transcribe(WhisperEngine(tiny_teacher, 4), windows, label_settings)


def test_upstream_memory_errors_are_not_caught(tiny_teacher, windows, label_settings):
    def stream():
        yield from windows[:6]
        raise torch.OutOfMemoryError("somebody else's")

    with pytest.raises(torch.OutOfMemoryError, match="somebody else's"):
        transcribe(WhisperEngine(tiny_teacher, 2), stream(), label_settings)


def test_several_threads_transcribe_at_the_same_time(tiny_teacher, windows, label_settings, whole):
    engine, found = WhisperEngine(tiny_teacher, 3), {}

    def work(number):
        found[number] = tokens_of(transcribe(engine, windows, label_settings))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(3)] == [whole] * 3


def test_nested_calls_transcribe_while_others_are_in_flight(
    tiny_teacher, windows, label_settings, whole
):
    engine = WhisperEngine(tiny_teacher, 3)
    found = {}
    for window, result in engine.transcribe(windows, label_settings):
        found[window.id] = result.tokens
        assert len(transcribe(engine, [window], label_settings, 0.8)) == 1
    assert dict(sorted(found.items())) == whole


def test_a_draft_does_not_change_tokens(tiny_teacher, windows, label_settings, whole):
    engine = WhisperEngine(tiny_teacher, 3, draft=tiny_teacher)
    assert tokens_of(transcribe(engine, windows, label_settings)) == whole


@pytest.mark.parametrize("num_drafted", [0, 4])
def test_the_encoder_of_a_draft_runs_for_windows_that_draft(
    tiny_teacher, windows, label_settings, whole, monkeypatch, num_drafted
):
    """A draft that does not pay must not cost its encoder either."""
    model = copy.deepcopy(tiny_teacher.model)
    with torch.no_grad():
        model.model.encoder.layer_norm.bias += 0.1
    engine = WhisperEngine(
        tiny_teacher, 3, dataclasses.replace(tiny_teacher, model=model), num_drafted=num_drafted
    )
    num_encoded = []
    run = WindowEncoder.__call__

    def counted(encoder, windows):
        num_encoded.append(len(windows))
        return run(encoder, windows)

    monkeypatch.setattr(WindowEncoder, "__call__", counted)
    assert tokens_of(transcribe(engine, windows, label_settings)) == whole
    assert sum(num_encoded) == NUM_WINDOWS * (2 if num_drafted else 1)


def test_a_window_that_is_sent_back_is_retried_with_the_others(
    tiny_teacher, windows, label_settings, whole
):
    """As if alone: rows with and without a temperature do not affect each other."""
    engine, results, order = WhisperEngine(tiny_teacher, 3), {}, []
    transcriptions, retry = engine.transcribe(windows, label_settings), None
    while True:
        try:
            window, result = transcriptions.send(retry)
        except StopIteration:
            break
        results[window.id, window.temperature] = result.tokens
        order.append((window.id, window.temperature))
        is_first = len(order) == 1
        retry = dataclasses.replace(window, temperature=0.8) if is_first else None
    assert {name: tokens for (name, at), tokens in sorted(results.items()) if not at} == whole
    retried_id = order[0][0]
    alone = transcribe(
        engine, [window for window in windows if window.id == retried_id], label_settings, 0.8
    )
    assert results[retried_id, 0.8] == alone[retried_id].tokens
    assert order.index((retried_id, 0.8)) < NUM_WINDOWS
