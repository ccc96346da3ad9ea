import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from configs.schema import Label, Runtime, Teacher
from storage.errors import UserError
from tasks.whisper.engines import load_engine
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


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("config.json", {"d_model": "wide"}),
        ("config.json", {"encoder_attention_heads": 0}),
        ("config.json", []),
        ("tokenizer.json", {"post_processor": 1}),
        ("tokenizer_config.json", {"pad_token": True}),
        ("preprocessor_config.json", []),
        ("preprocessor_config.json", {"feature_size": None}),
        ("generation_config.json", 7),
    ],
)
def test_no_error_of_a_library_reaches_the_user(folder, tmp_path, name, change):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    found = json.loads((tmp_path / name).read_text())
    (tmp_path / name).write_text(json.dumps(found | change if isinstance(change, dict) else change))
    with pytest.raises(UserError, match="holds no readable Whisper") as raised:
        load_whisper(Teacher(path=str(tmp_path)), device="cpu")
    assert "\n" not in str(raised.value)


def with_weights(folder, target, change):
    """A copy of a model whose weights `change` has edited, a mapping of tensors."""
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    weights = load_file(target / "model.safetensors")
    change(weights)
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return Teacher(path=str(target))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_no_number_is_named(folder, tmp_path, value):
    name = "model.decoder.layers.0.fc1.weight"

    def change(weights):
        weights[name][0, 3] = value

    settings = with_weights(folder, tmp_path, change)
    with pytest.raises(UserError, match=f"{name} is NaN or infinite in float32") as raised:
        load_whisper(settings, device="cpu")
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match=name):  # before anything is labelled
        load_engine(Label(teacher=settings), Runtime(device="cpu"))


def test_a_weight_that_overflows_in_half_precision_is_named(folder, tmp_path):
    name = "model.encoder.layer_norm.bias"
    settings = with_weights(folder, tmp_path, lambda weights: weights[name].fill_(1e6))
    load_whisper(settings, "bfloat16", "cpu")
    with pytest.raises(UserError, match=f"{name} is NaN or infinite in float16"):
        load_whisper(settings, "float16", "cpu")


def test_a_missing_weight_is_not_drawn_at_random(folder, tmp_path):
    name = "model.decoder.layers.0.fc1.weight"
    settings = with_weights(folder, tmp_path, lambda weights: weights.pop(name))
    with pytest.raises(UserError, match=f"1 are missing, the first is {name}"):
        load_whisper(settings, device="cpu")


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
