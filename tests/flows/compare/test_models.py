"""Models as a browser loads them: what the page states of one, and files that two share."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from configs.schema import Label, Teacher
from flows.compare.models import (
    WebModel,
    convert_for_web,
    quantize_for_web,
    web_folder,
)
from storage.errors import UserError
from tasks.audio import Samples
from tests.flows.compare.stand_ins import CONVERTER, interpreter, stand_in
from tests.flows.running import TEACHER

LABEL = Label(teacher=Teacher(path=str(TEACHER)))


@pytest.fixture
def python(tmp_path: Path) -> str:
    return interpreter(tmp_path, CONVERTER)


@pytest.fixture
def windows() -> dict[str, Samples]:
    return {"silence": np.zeros(1_600, np.float32)}


def source(folder: Path) -> Path:
    """A copy of the demo's teacher."""
    shutil.copytree(TEACHER, folder)
    return folder


def test_equal_encoders_are_one_file(
    tmp_path: Path, python: str, windows: dict[str, Samples]
) -> None:
    models = []
    for name in ("teacher", "student"):
        target = web_folder(tmp_path, name, "fp32")
        found = convert_for_web(source(tmp_path / name), target, windows, LABEL, python=python)
        assert found.library == "onnxruntime 1"
        models.append(WebModel(name=name, folder=target, dtype="fp32"))
    teacher, student = models
    assert student.has_encoder_of(teacher)
    assert not student.weights[1].samefile(teacher.weights[1])
    assert {"config.json", "onnx/encoder_model.onnx"} < teacher.files.keys()

    target = web_folder(tmp_path, "student", "q8")
    quantize_for_web(student.folder, target, python=python)
    small = WebModel(name="student", folder=target, dtype="q8")
    assert [path.read_text()[:3] for path in small.weights] == ["enc", str(tmp_path)[:3]]
    assert {path.name for path in (target / "onnx").iterdir()} == {
        "encoder_model_quantized.onnx",
        "decoder_model_merged_quantized.onnx",
    }


def test_the_page_states_layers_size_and_settings(tmp_path: Path) -> None:
    described = stand_in(tmp_path / "model", "teacher").described(LABEL)
    assert described == {
        "name": "teacher",
        "encoder_layers": 4,
        "decoder_layers": 6,
        "num_bytes": len("encoder_model of teacherdecoder_model_merged of teacher"),
        "window_samples": 128_000,
        "generation": {"max_new_tokens": 64, "language": "en", "task": "transcribe"},
    }


def test_a_model_of_english_alone_is_not_told_its_language(tmp_path: Path) -> None:
    model = stand_in(tmp_path / "model", "teacher")
    path = model.folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "is_multilingual": False}))
    assert model.described(LABEL)["generation"] == {"max_new_tokens": 64}


def test_weights_in_a_second_file_are_too_large(
    tmp_path: Path, windows: dict[str, Samples]
) -> None:
    large = '(target / "onnx" / "encoder_model.onnx_data").touch()\nprint('
    python = interpreter(tmp_path, CONVERTER.replace("print(", large))
    target = web_folder(tmp_path, "teacher", "fp32")
    with pytest.raises(UserError, match="is too large for a browser"):
        convert_for_web(source(tmp_path / "m"), target, windows, LABEL, python=python)
    assert not target.exists()


def test_a_model_has_a_folder_by_its_weights(tmp_path: Path) -> None:
    folders = {web_folder(tmp_path, one, "fp32") for one in ("sha256:a", "sha256:b")}
    folders.add(web_folder(tmp_path, "sha256:a", "q8"))
    assert len(folders) == 3
    assert {folder.parent for folder in folders} == {tmp_path / "onnx"}
