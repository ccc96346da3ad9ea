import json

import numpy as np
import pytest
import torch

from configs.schema import Teacher
from storage.errors import UserError
from tasks.whisper.model import load_whisper, log_mel


@pytest.fixture(scope="module")
def folder(tiny_teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    for part in (tiny_teacher.model, tiny_teacher.feature_extractor, tiny_teacher.tokenizer):
        part.save_pretrained(folder)
    return folder


def test_a_folder_is_loaded_once_and_silently(folder, capfd):
    capfd.readouterr()
    settings = Teacher(path=str(folder))
    teacher = load_whisper(settings, "float32", "cpu")
    assert capfd.readouterr() == ("", "")
    assert load_whisper(settings, "float32", "cpu") is teacher
    assert teacher.window_samples == 32_000
    assert not teacher.model.training
    assert not any(parameter.requires_grad for parameter in teacher.model.parameters())


def test_model_and_features_share_the_dtype(folder):
    teacher = load_whisper(Teacher(path=str(folder)), "bfloat16", "cpu")
    assert teacher.model.dtype == torch.bfloat16
    assert log_mel(teacher, [np.zeros(100, np.float32)]).dtype == torch.bfloat16


def test_features_are_padded_to_the_window(tiny_teacher):
    waveforms = [np.zeros(32_000, np.float32), np.ones(7, np.float32)]
    assert log_mel(tiny_teacher, waveforms).shape == (2, 80, 200)


def test_features_of_audio_longer_than_a_window_are_refused(tiny_teacher):
    """Defect 9: the feature extractor would truncate it silently."""
    with pytest.raises(ValueError, match="32001 samples, but the window 32000"):
        log_mel(tiny_teacher, [np.zeros(32_001, np.float32)])


def test_a_missing_folder_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match=r"no teacher at"):
        load_whisper(Teacher(path=str(tmp_path / "nowhere")))


def test_a_broken_folder_is_a_user_error(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"half a download")
    with pytest.raises(UserError, match="holds no readable Whisper") as raised:
        load_whisper(Teacher(path=str(tmp_path)), device="cpu")
    assert "\n" not in str(raised.value)


def test_a_feature_extractor_of_another_length_is_refused(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    settings["chunk_length"] = 30
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=r"expects 200 frames .* gives 3000"):
        load_whisper(Teacher(path=str(tmp_path)), device="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_a_user_error(folder):
    with pytest.raises(UserError, match="torch finds no GPU"):
        load_whisper(Teacher(path=str(folder)), device="cuda")
