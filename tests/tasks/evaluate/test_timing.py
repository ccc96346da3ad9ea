import dataclasses

import numpy as np
import pytest

from tasks.evaluate.timing import (
    Rounds,
    alternate,
    measure_speed,
)
from tasks.whisper.encoding.encoder import EncoderLayers
from tasks.whisper.engine import AudioWindow
from tasks.whisper.transcribe import transcribe_all
from tasks.whisper.whisper import WhisperEngine


@pytest.fixture(scope="module")
def waveforms():
    draw = np.random.default_rng(0)
    return [draw.normal(0, 0.1, 8_000 + 1_000 * one).astype(np.float32) for one in range(5)]


def test_the_median_of_the_ratios_by_round_counts():
    rounds = Rounds(seconds={"teacher": (4.0, 90.0, 6.0), "student": (1.0, 30.0, 1.0)})
    assert rounds.median_s("teacher") == 6.0
    assert rounds.relative_speed("student", "teacher") == (4.0, (3.0, 6.0))
    assert rounds.relative_speed("teacher", "teacher") == (1.0, (1.0, 1.0))


def test_the_first_of_a_round_is_another_each_time():
    done = []
    work = {name: lambda name=name: done.append(name) for name in "abc"}
    rounds = alternate(work, num_rounds=4)
    assert "".join(done) == "abcbcacababc"
    assert {name: len(seconds) for name, seconds in rounds.seconds.items()} == dict.fromkeys(
        "abc", 4
    )


def test_a_whisper_is_timed_end_to_end_and_from_encoder_output(
    tiny_teacher, label_settings, waveforms
):
    other = dataclasses.replace(tiny_teacher)
    engine = WhisperEngine(tiny_teacher, 2)
    models = {"teacher": tiny_teacher, "student": other, "ctc": AnotherEngine(engine)}
    found = measure_speed(models, waveforms, label_settings, batch_sizes=(1, 4), num_rounds=3)
    assert [(one.batch_size, one.part, one.model) for one in found] == [
        (batch_size, part, name)
        for batch_size in (1, 4)
        for part, names in (
            ("end_to_end", ("teacher", "student", "ctc")),
            ("decoder", ("teacher", "student")),
        )
        for name in names
    ]
    for one in found:
        assert one.num_utterances == 5
        assert one.audio_s == 3.125
        assert 0 < one.fastest_s <= one.seconds <= one.slowest_s
        low, high = one.relative_speed_range
        assert low <= one.relative_speed <= high
        assert (one.model != "teacher") or one.relative_speed == 1.0
        assert one.peak_mb is None  # of a GPU


class AnotherEngine:
    """An engine that has no batch size of its own and no encoder output."""

    def __init__(self, engine):
        self.window_samples, self._engine = engine.window_samples, engine

    def transcribe(self, windows, settings):
        return self._engine.transcribe(windows, settings)


def test_nothing_is_encoded_while_the_decoder_is_timed(
    tiny_teacher, label_settings, waveforms, monkeypatch
):
    num_encoded = []
    encode = EncoderLayers.__call__

    def counting(layers, features):
        num_encoded.append(len(features))
        return encode(layers, features)

    monkeypatch.setattr(EncoderLayers, "__call__", counting)
    models = {"teacher": tiny_teacher, "student": dataclasses.replace(tiny_teacher)}
    measure_speed(models, waveforms[:1], label_settings, batch_sizes=(1,), num_rounds=2)
    # once for both decoders, as they share the encoder; two warm-ups and four rounds
    assert len(num_encoded) == 1 + 2 + 4


def test_text_from_encoder_output_is_that_from_waveforms(tiny_teacher, label_settings, waveforms):
    engine = WhisperEngine(tiny_teacher, 4)
    windows = [AudioWindow(str(index), one) for index, one in enumerate(waveforms)]
    decoded = {
        window.id: result.tokens
        for window, result in engine.decode(engine.encode(windows), label_settings)
    }
    stream = ((window.id, window) for window in windows)
    settings = label_settings.model_copy(update={"temperatures": (0.0,)})
    expected = {one: label.tokens for one, label in transcribe_all(engine, stream, settings)}
    assert decoded == expected
