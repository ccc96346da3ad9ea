"""Sequential transcription is that of transformers' `generate`, which follows openai/whisper."""

import numpy as np
import pytest
import torch

from configs.schema import Label, Teacher
from storage.outcome import Rejected, dropped
from tasks.evaluate.long_form.sequential import transcribe_sequential
from tasks.whisper.model import silent_transformers
from tasks.whisper.whisper import WhisperEngine
from tests.tasks.evaluate.long_form.speech import demo_teacher, long_recording

GREEDY = Label(teacher=Teacher(path="unused"), max_new_tokens=60, temperatures=(0.0,))
LENGTHS_S = (31.7, 9.0, 20.01, 8.5)


@pytest.fixture(scope="module")
def teacher():
    return demo_teacher()


@pytest.fixture(scope="module")
def waveforms():
    speech = [long_recording(f"unheard{n}", one, n + 9) for n, one in enumerate(LENGTHS_S)]
    return [*speech, np.zeros(200_000, np.float32)]


def transcribed(teacher, waveforms, settings=GREEDY, batch_size=16, **options):
    engine = WhisperEngine(teacher, batch_size)
    found = transcribe_sequential(engine, enumerate(waveforms), settings, **options)
    numbers, texts = zip(*found, strict=True)
    assert list(numbers) == list(range(len(waveforms)))
    return list(texts)


def of_transformers(teacher, waveform):
    # as in openai/whisper, the last frames reach into silence and not into a reflection
    padded = np.concatenate([waveform, np.zeros(teacher.window_samples, np.float32)])
    features = teacher.feature_extractor(
        padded, sampling_rate=16_000, truncation=False, padding="longest", return_tensors="pt"
    ).input_features[..., : len(waveform) // 160]
    with silent_transformers(), torch.inference_mode():
        (tokens,) = teacher.model.generate(
            features,
            language="en",
            task="transcribe",
            return_timestamps=True,
            condition_on_prev_tokens=False,
            temperature=0.0,
            logprob_threshold=GREEDY.min_avg_logprob,
            no_speech_threshold=GREEDY.max_no_speech_prob,
            max_new_tokens=GREEDY.max_new_tokens,
        )
    return teacher.tokenizer.decode(tokens, skip_special_tokens=True).strip()


def test_text_equals_generate_at_any_batch_size(teacher, waveforms):
    expected = [of_transformers(teacher, one) for one in waveforms]
    assert len(expected[0].split()) > 10
    for batch_size in (1, 16):
        assert transcribed(teacher, waveforms, batch_size=batch_size) == expected


def test_a_window_that_passes_is_not_sampled(teacher, waveforms):
    """Nor does a window get the encoder output of the one before it."""
    lenient = {"min_avg_logprob": -100.0, "max_compression_ratio": 100.0}
    once = transcribed(teacher, waveforms, GREEDY.model_copy(update=lenient))
    again = {**lenient, "temperatures": (0.0, 0.5, 1.0)}
    assert transcribed(teacher, waveforms, GREEDY.model_copy(update=again)) == once


def test_a_window_that_fails_is_sampled_reproducibly(teacher, waveforms):
    strict = {"min_avg_logprob": 0.0, "max_no_speech_prob": 1.0, "temperatures": (0.0, 1.0)}
    settings = GREEDY.model_copy(update=strict)
    sampled = transcribed(teacher, waveforms[:2], settings)
    assert sampled != transcribed(teacher, waveforms[:2])
    assert sampled == transcribed(teacher, waveforms[:2], settings, batch_size=1)


def test_silence_is_skipped(teacher, waveforms):
    silent = GREEDY.model_copy(update={"min_avg_logprob": 0.0, "max_no_speech_prob": 0.0})
    assert transcribed(teacher, waveforms, silent) == [""] * len(waveforms)


def test_recordings_begin_only_while_there_is_room(teacher):
    drawn = []

    def watched():
        for number in range(6):
            drawn.append(number)
            yield number, long_recording("ann", 9.0, number)

    num_begun = [
        len(drawn) - number
        for number, _ in transcribe_sequential(
            WhisperEngine(teacher, 16), watched(), GREEDY, max_audio_s=17.0
        )
    ]
    assert num_begun == [2, 1, 2, 1, 2, 1]


def test_rejected_rows_keep_their_place(teacher):
    items = [dropped("a", "marked"), ("b", long_recording("ann", 9.0)), dropped("c", "marked")]
    found = list(transcribe_sequential(WhisperEngine(teacher, 2), items, GREEDY))
    assert [isinstance(one, Rejected) for one in found] == [True, False, True]


def test_a_recording_shorter_than_a_frame_is_transcribed(teacher):
    assert len(transcribed(teacher, [np.zeros(1, np.float32), np.zeros(159, np.float32)])) == 2
