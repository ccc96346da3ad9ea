"""Chunked transcription equals the pipeline of transformers."""

import logging

import numpy as np
import pytest
from transformers import pipeline

from configs.schema import Label, Teacher
from storage.errors import UserError
from storage.outcome import Rejected, dropped
from tasks.evaluate.long_form.chunked import Chunk, chunks_of, transcribe_chunked
from tasks.whisper.ctc import load_ctc
from tasks.whisper.whisper import WhisperEngine
from tests.tasks.evaluate.long_form.speech import demo_teacher, long_recording
from tests.tasks.whisper.tiny_ctc import save_tiny_ctc

SETTINGS = Label(teacher=Teacher(path="unused"), timestamps=True, max_new_tokens=60)


@pytest.fixture(scope="module")
def teacher():
    return demo_teacher()


@pytest.fixture(scope="module")
def ctc(tmp_path_factory):
    folder = save_tiny_ctc(tmp_path_factory.mktemp("ctc"))
    settings = Label(teacher=Teacher(path=str(folder)), engine="ctc", temperatures=(0.0,))
    engine = load_ctc(settings, "cpu")
    # a trained model has no frames of <s>, </s> and <unk>, which the pipeline would write out
    engine.model.lm_head.bias[1:4] = -1_000.0
    return engine


def transcribed(engine, waveforms, chunk_s, stride_s):
    recordings = list(enumerate(waveforms))
    found = transcribe_chunked(engine, recordings, SETTINGS, chunk_s=chunk_s, stride_s=stride_s)
    numbers, texts = zip(*found, strict=True)
    assert list(numbers) == list(range(len(waveforms)))
    return list(texts)


def of_transformers(model, waveforms, chunk_s, stride_s, **options):
    """Each recording by itself."""
    recogniser = pipeline(
        "automatic-speech-recognition",
        model=model.model,
        feature_extractor=model.feature_extractor,
        tokenizer=model.tokenizer,
        ignore_warning=True,
    )
    found = (
        recogniser(one, chunk_length_s=chunk_s, stride_length_s=stride_s, **options)
        for one in waveforms
    )
    return [one["text"].strip() for one in found]


@pytest.mark.parametrize(("chunk_s", "stride_s"), [(8.0, 8 / 6), (6.0, 0.5), (8.0, 3.0)])
def test_text_of_a_whisper_equals_the_pipeline(teacher, chunk_s, stride_s, caplog):
    caplog.set_level(logging.ERROR)
    lengths_s = [31.7, 3.0, 8.0, 14.33]
    waveforms = [long_recording(f"unheard{n}", one, n) for n, one in enumerate(lengths_s)]
    waveforms.append(np.zeros(200_000, np.float32))
    generation = {"language": "en", "task": "transcribe", "num_beams": 1, "max_new_tokens": 60}
    expected = of_transformers(teacher, waveforms, chunk_s, stride_s, generate_kwargs=generation)
    assert len(expected[0].split()) > 10
    for batch_size in (1, 16):
        engine = WhisperEngine(teacher, batch_size)
        assert transcribed(engine, waveforms, chunk_s, stride_s) == expected


@pytest.mark.parametrize(("chunk_s", "stride_s"), [(2.0, 0.3), (1.1, 0.5), (4.0, 4 / 6)])
def test_text_of_a_ctc_model_equals_the_pipeline(ctc, chunk_s, stride_s):
    draw = np.random.default_rng(0)
    waveforms = [draw.normal(0, 0.1, n).astype(np.float32) for n in (100_001, 20_000, 64_320)]
    expected = of_transformers(ctc, waveforms, chunk_s, stride_s)
    found = transcribed(ctc, waveforms, chunk_s, stride_s)
    assert found == expected
    assert len(found[0]) > 20


def test_rejected_rows_keep_their_place(teacher, ctc):
    items = [dropped("a", "marked"), ("b", long_recording("ann", 9.0)), dropped("c", "marked")]
    for engine in (WhisperEngine(teacher, 2), ctc):
        found = list(transcribe_chunked(engine, items, SETTINGS, chunk_s=5, stride_s=1))
        assert [isinstance(one, Rejected) for one in found] == [True, False, True]


def test_chunks_overlap_and_only_the_last_is_shorter():
    assert chunks_of(40_000, 1.0, 0.25) == [
        Chunk(0, 16_000, 0, 4_000),
        Chunk(8_000, 24_000, 4_000, 4_000),
        Chunk(16_000, 32_000, 4_000, 4_000),
        Chunk(24_000, 40_000, 4_000, 0),
    ]
    assert chunks_of(100, 1.0, 0.25) == [Chunk(0, 100, 0, 0)]


def test_chunks_that_do_not_fit_or_never_advance_are_refused(teacher):
    engine = WhisperEngine(teacher, 1)
    with pytest.raises(UserError, match="chunk_s is 15, but the model's window has 8 s; set"):
        transcribe_chunked(engine, [], SETTINGS, chunk_s=15, stride_s=2)
    with pytest.raises(UserError, match="never advance"):
        chunks_of(100, 1.0, 0.5)
