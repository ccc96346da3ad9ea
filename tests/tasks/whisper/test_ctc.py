"""An engine over a CTC model: text without tokens or no-speech probabilities."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

from configs.schema import Label, Runtime, Teacher
from storage.errors import UserError
from tasks.label.shard import label_shard
from tasks.whisper.ctc import load_ctc
from tasks.whisper.engine import AudioWindow
from tasks.whisper.engines import load_engine, require_whisper
from tests.tasks.whisper.tiny_ctc import LETTERS, save_tiny_ctc


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_ctc(tmp_path_factory.mktemp("ctc"))


@pytest.fixture
def settings(folder):
    return Label(teacher=Teacher(path=str(folder)), engine="ctc", temperatures=(0.0,))


def windows(*lengths):
    random = np.random.default_rng(0)
    return [
        AudioWindow(str(index), random.normal(0, 0.1, length).astype(np.float32))
        for index, length in enumerate(lengths)
    ]


def test_greedy_decoding_collapses_repeats_and_blanks(folder, settings):
    engine = load_ctc(settings, "cpu")
    ((_, result),) = engine.transcribe(windows(20_000), settings)
    model = Wav2Vec2ForCTC.from_pretrained(folder)
    values = Wav2Vec2FeatureExtractor()(
        windows(20_000)[0].samples, sampling_rate=16_000, return_tensors="pt"
    ).input_values
    with torch.inference_mode():
        logprobs = model(values).logits[0].log_softmax(-1)
    best = [one for one in logprobs.argmax(-1).tolist() if one not in (1, 2, 3)]
    kept = [now for before, now in zip([None, *best], best, strict=False) if now != before]
    letters = "".join(LETTERS[one] for one in kept if one > 3)
    assert letters.replace("|", " ").split() == result.text.split()
    assert len(result.text) > 5
    assert result.avg_logprob == pytest.approx(logprobs.amax(-1).mean().item(), abs=1e-5)
    assert (result.tokens, result.no_speech_prob, result.has_end) == ((), 0.0, True)


def test_results_do_not_depend_on_other_windows(settings):
    engine = load_ctc(settings, "cpu")
    together = {
        window.id: result for window, result in engine.transcribe(windows(9_000, 20_000), settings)
    }
    for window in windows(9_000, 20_000):
        assert {one.id: result for one, result in engine.transcribe([window], settings)} == {
            window.id: together[window.id]
        }


def test_it_labels_a_shard(settings, row, normalised):
    engine = load_engine(settings, Runtime(device="cpu"))
    (batch,) = label_shard([normalised(row("a"), row("b"))], engine, settings)
    (label,) = batch.to_pylist()
    assert (label["window_id"], label["pseudo_tokens"], label["temperature"]) == ("a+1", [], 0.0)
    assert label["pseudo_text"]


def test_it_is_loaded_once_per_process(settings):
    assert load_ctc(settings, "cpu") is load_ctc(settings, "cpu")


def test_a_weight_that_is_no_number_is_named(folder, tmp_path, settings):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    weights["lm_head.bias"][5] = float("nan")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    damaged = settings.model_copy(update={"teacher": Teacher(path=str(tmp_path))})
    with pytest.raises(UserError, match=r"lm_head\.bias is NaN or infinite in float32"):
        load_ctc(damaged, "cpu")


def test_it_refuses_to_sample(settings):
    sampled = dataclasses.replace(*windows(9_000), temperature=0.2)
    with pytest.raises(ValueError, match="cannot sample"):
        next(load_ctc(settings, "cpu").transcribe([sampled], settings))


def test_a_whisper_is_not_a_ctc_model(settings):
    from tasks.demo.teaching.model import TEACHER_FOLDER

    whisper = settings.model_copy(update={"teacher": Teacher(path=str(TEACHER_FOLDER))})
    with pytest.raises(UserError, match="holds no readable CTC model") as raised:
        load_ctc(whisper, "cpu")
    assert "\n" not in str(raised.value)


def test_no_student_can_be_distilled_from_it(settings):
    with pytest.raises(UserError, match="run until publish"):
        require_whisper(settings)
    require_whisper(Label(teacher=settings.teacher))
