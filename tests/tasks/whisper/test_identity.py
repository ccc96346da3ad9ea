import os
import subprocess
import sys

import pytest

from configs.schema import Teacher
from storage.errors import UserError
from tasks.whisper.identity import teacher_identity


@pytest.fixture
def folder(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(b"weights")
    return model


def identity(folder):
    return teacher_identity(Teacher(path=str(folder)))


def test_a_copied_folder_has_the_same_identity(folder, tmp_path):
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "README.md").write_text("not the model's")
    assert identity(copy) == identity(folder)
    assert identity(folder).startswith("sha256:")


def test_other_weights_or_settings_have_another_identity(folder):
    before = identity(folder)
    (folder / "model.safetensors").write_bytes(b"weightS")
    # modification times may be too coarse for two writes of the same size
    os.utime(folder / "model.safetensors", ns=(1, 1))
    after = identity(folder)
    assert after != before
    (folder / "generation_config.json").write_text("{}")
    assert identity(folder) != after


def test_unchanged_files_are_not_hashed_again(folder):
    before = identity(folder)
    stat = (folder / "model.safetensors").stat()
    (folder / "model.safetensors").write_bytes(b"weighty")
    os.utime(folder / "model.safetensors", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert identity(folder) == before


def test_the_identity_of_a_hub_model_is_its_commit():
    settings = Teacher(hub="openai/whisper-tiny", revision="a" * 40)
    assert teacher_identity(settings) == f"openai/whisper-tiny@{'a' * 40}"


def test_the_error_for_a_missing_folder_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"no teacher at .*correct the `path`") as raised:
        identity(tmp_path / "nowhere")
    assert "\n" not in str(raised.value)


def test_the_error_for_missing_weights_lists_the_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UserError, match=r"holds no Whisper.*found notes.txt"):
        identity(tmp_path)


def test_it_needs_no_torch():
    code = "import sys, tasks.whisper.identity; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
