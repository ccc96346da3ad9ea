"""The files of a student are copied whole, to a new folder, or not at all."""

from pathlib import Path

import pytest

from storage.errors import IntegrityError, UserError
from storage.receipt import Counts, Receipt
from storage.shard import ShardKey
from storage.store import Store
from tasks.ship.folder import copy_student, new_folder

FILES = {"model.safetensors": b"weights", "config.json": b"{}", "tokenizer.json": b"[]"}


def stored(store: Store) -> Receipt:
    """The receipt of a student of three files."""
    references = []
    for name, data in FILES.items():
        with store.sink("distil/f/student") as sink:
            sink.write(data)
            references.append(store.keep(sink, f"distil/f/student/{name}"))
    return Receipt(
        stage="distil",
        fingerprint="f",
        key=ShardKey("all", "full", 1),
        source_digest="0" * 64,
        output=references[0],
        beside=tuple(references[1:]),
        counts=Counts(),
    )


@pytest.mark.parametrize("root", ["local", "s3"], indirect=True)
def test_all_files_are_copied(store: Store, tmp_path: Path) -> None:
    receipt = stored(store)
    with new_folder(tmp_path / "a" / "student") as folder:
        copy_student(store, receipt, folder)
    found = {path.name: path.read_bytes() for path in (tmp_path / "a" / "student").iterdir()}
    assert found == FILES


@pytest.mark.parametrize("root", ["local", "s3"], indirect=True)
def test_a_damaged_file_is_named_and_nothing_remains(store: Store, tmp_path: Path) -> None:
    receipt = stored(store)
    store.delete("distil/f/student/config.json")
    store.put_if_absent("distil/f/student/config.json", b"[]")
    target = tmp_path / "exported" / "student"
    with (
        pytest.raises(IntegrityError, match=r"config\.json has sha256"),
        new_folder(target) as folder,
    ):
        copy_student(store, receipt, folder)
    assert list(target.parent.iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    target = tmp_path / "student"
    target.mkdir()
    with new_folder(target) as folder:
        (folder / "file").touch()
    assert [path.name for path in target.iterdir()] == ["file"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "student"
    target.mkdir()
    kept = target / "mine"
    kept.write_text("mine")
    for place, words in ((target, "is not empty"), (kept, "is a file")):
        with pytest.raises(UserError, match=words), new_folder(place):
            raise AssertionError
    assert kept.read_text() == "mine"
