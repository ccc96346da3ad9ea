"""CTranslate2 with the demo teacher agrees with the built-in engine."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from configs.schema import Label, Runtime, Teacher
from storage.errors import UserError
from tasks.demo.teaching.model import TEACHER_FOLDER
from tasks.whisper.engine import AudioWindow
from tasks.whisper.engines import load_engine

pytest.importorskip("ctranslate2")

SETTINGS = Label(teacher=Teacher(path=str(TEACHER_FOLDER)), engine="ctranslate2")
RUNTIME = Runtime(device="cpu", label_batch_size=7)


@pytest.fixture(scope="module")
def windows():
    from tasks.demo.teaching.training_set import no_speech_window, speech_window

    random = np.random.default_rng(7)
    spoken = [speech_window(f"ct{index}", random) for index in range(30)]
    examples = [*spoken, no_speech_window(random), no_speech_window(random)]
    return [AudioWindow(str(index), one.samples) for index, one in enumerate(examples)]


@pytest.fixture(scope="module")
def ours():
    return load_engine(SETTINGS.model_copy(update={"engine": "whisper"}), RUNTIME)


def by_id(engine, windows, settings, temperature=0.0):
    at = [dataclasses.replace(window, temperature=temperature) for window in windows]
    return {window.id: result for window, result in engine.transcribe(at, settings)}


@pytest.mark.parametrize("timestamps", [False, True])
def test_it_agrees_with_the_built_in_engine(windows, ours, timestamps):
    settings = SETTINGS.model_copy(update={"timestamps": timestamps})
    found = by_id(load_engine(settings, RUNTIME), windows, settings)
    expected = by_id(ours, windows, settings)
    assert found.keys() == expected.keys()
    same = [name for name in found if found[name].tokens == expected[name].tokens]
    assert len(same) >= 0.95 * len(windows)
    for name in same:
        assert found[name].text == expected[name].text
        assert found[name].has_end == expected[name].has_end
        assert found[name].avg_logprob == pytest.approx(expected[name].avg_logprob, abs=1e-3)
        assert found[name].no_speech_prob == pytest.approx(expected[name].no_speech_prob, abs=1e-3)


def test_there_is_no_end_token_at_the_token_limit(windows, ours):
    settings = SETTINGS.model_copy(update={"max_new_tokens": 6})
    found = by_id(load_engine(settings, RUNTIME), windows[:8], settings)
    expected = by_id(ours, windows[:8], settings)
    assert {name: (one.tokens, one.has_end) for name, one in found.items()} == {
        name: (one.tokens, one.has_end) for name, one in expected.items()
    }
    assert not any(one.has_end for one in found.values())


def test_sampling_is_that_of_the_built_in_engine(windows, ours):
    found = by_id(load_engine(SETTINGS, RUNTIME), windows[:3], SETTINGS, 0.6)
    expected = by_id(ours, windows[:3], SETTINGS, 0.6)
    assert {name: one.tokens for name, one in found.items()} == {
        name: one.tokens for name, one in expected.items()
    }


def test_the_batch_is_halved_when_memory_runs_out(windows):
    engine = load_engine(SETTINGS, RUNTIME)
    whole = {name: one.tokens for name, one in by_id(engine, windows[:9], SETTINGS).items()}

    class Small:
        def generate(self, features, prompts, **options):
            if len(prompts) > 2:
                raise RuntimeError("CUDA failed with error out of memory")
            return engine.model.generate(features, prompts, **options)

    small = dataclasses.replace(engine, model=Small())
    found = by_id(small, windows[:9], SETTINGS)
    assert {name: one.tokens for name, one in found.items()} == whole


def test_loading_leaves_torch_its_threads(tmp_path):
    """CTranslate2 sets those of OpenMP, and so those of the built-in engine, which samples."""
    teacher = shutil.copytree(TEACHER_FOLDER, tmp_path / "teacher")  # a model is loaded once
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        load_engine(SETTINGS.model_copy(update={"teacher": Teacher(path=str(teacher))}), RUNTIME)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_an_unsupported_dtype_is_a_user_error():
    settings = SETTINGS.model_copy(update={"dtype": "float16"})
    with pytest.raises(UserError, match="CTranslate2 cannot load") as raised:
        load_engine(settings, RUNTIME)
    assert "\n" not in str(raised.value)


def test_a_token_limit_below_the_prompt_is_refused(windows):
    settings = SETTINGS.model_copy(update={"max_new_tokens": 2})
    with pytest.raises(UserError, match="max_new_tokens is 2"):
        next(load_engine(settings, RUNTIME).transcribe(windows, settings))
