"""The identity of a folder of noise is that of its recordings."""

import hashlib
from io import BufferedReader
from pathlib import Path
from typing import Any

import pytest

from storage.errors import UserError
from tasks.evaluate.identity import folder_identity


def test_what_is_no_recording_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "rain.wav").write_bytes(b"drops")
    before = folder_identity(tmp_path)
    (tmp_path / ".DS_Store").write_bytes(b"the icons of the folder")
    (tmp_path / "LICENSE.txt").write_text("free")
    assert folder_identity(tmp_path) == before
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "HAIL.WAV").write_bytes(b"stones")
    assert folder_identity(tmp_path) != before


def test_many_recordings_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the memory of files has room for: it is asked for each ratio and each shard."""
    for number in range(300):
        (tmp_path / f"{number}.wav").write_bytes(b"drops")
    hashed: list[str] = []
    file_digest = hashlib.file_digest

    def counted(file: BufferedReader, name: str) -> Any:
        hashed.append(file.name)
        return file_digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    assert folder_identity(tmp_path) == folder_identity(tmp_path)
    assert len(hashed) == 300


def test_no_folder_is_an_error_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"evaluate\.noise\.folders"):
        folder_identity(tmp_path / "nowhere")
