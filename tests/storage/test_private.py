"""Folders that others may neither read nor prepare."""

import os
import stat
from pathlib import Path

import pytest

from storage.errors import UserError
from storage.private import open_private, private_folder
from storage.store import Store

OTHERWISE = "set runtime.scratch to another folder"
ANOTHER_USER = 65_534


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "private"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_a_new_folder_is_for_its_user_alone(folder: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        private_folder(folder, OTHERWISE)
    finally:
        os.umask(before)
    assert mode(folder) == 0o700


def test_a_folder_that_others_could_read_is_closed_with_its_contents(folder: Path) -> None:
    (folder / "inside").mkdir(parents=True)
    (folder / "inside" / "file").write_text("x")
    for path in (folder, folder / "inside", folder / "inside" / "file"):
        path.chmod(0o755)
    private_folder(folder, OTHERWISE)
    assert mode(folder) == mode(folder / "inside") == 0o700
    assert mode(folder / "inside" / "file") == 0o600


def test_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    folder.symlink_to(tmp_path)
    with pytest.raises(UserError, match=f"is a symbolic link.*rm -r {folder}.*or {OTHERWISE}"):
        private_folder(folder, OTHERWISE)


def test_a_link_inside_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "0123.part").symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match=r"has a symbolic link in it, 0123\.part"):
        private_folder(folder, OTHERWISE)


def test_a_folder_that_everybody_could_write_to_is_refused(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o1777)
    with pytest.raises(UserError, match="has mode 1777"):
        private_folder(folder, OTHERWISE)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("number", [0o755, 0o775])
def test_a_file_of_another_user_inside_is_refused(folder: Path, number: int) -> None:
    (folder / "deep").mkdir(parents=True)
    folder.chmod(number)
    (folder / "deep" / "file").write_text("x")
    os.chown(folder / "deep" / "file", ANOTHER_USER, ANOTHER_USER)
    for _ in range(2):
        with pytest.raises(UserError, match=f"has file in it, .* to user {ANOTHER_USER}"):
            private_folder(folder, OTHERWISE)


def test_a_folder_made_under_umask_002_is_closed(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o775)
    (folder / "file").write_text("x")
    private_folder(folder, OTHERWISE)
    assert mode(folder) == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_folder_of_another_user_is_refused(folder: Path) -> None:
    folder.mkdir(0o700)
    os.chown(folder, ANOTHER_USER, ANOTHER_USER)
    with pytest.raises(UserError, match=f"belongs to user {ANOTHER_USER}"):
        private_folder(folder, OTHERWISE)


def test_a_file_in_its_place_is_refused(folder: Path) -> None:
    folder.write_text("")
    with pytest.raises(UserError, match="is not a folder"):
        private_folder(folder, OTHERWISE)


def test_a_private_file_is_appended_to_and_no_link_is_followed(tmp_path: Path) -> None:
    for word in (b"one ", b"two"):
        with open_private(tmp_path / "file") as file:
            file.write(word)
    assert (tmp_path / "file").read_bytes() == b"one two"
    assert mode(tmp_path / "file") == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(OSError, match="link"):
        open_private(tmp_path / "link")


def test_scratch_in_the_shared_folder_is_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = Store("memory://bucket")
    scratch = store.scratch_folder()
    assert scratch == tmp_path / f"distillery-{os.getuid()}"
    assert mode(scratch) == 0o700
    scratch.rmdir()
    (tmp_path / "victim").mkdir()
    scratch.symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match=OTHERWISE), store.sink("label"):
        pytest.fail("the link was followed")
    assert not list((tmp_path / "victim").iterdir())
