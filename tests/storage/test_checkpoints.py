"""Checkpoints in a store: complete or absent, and one to fall back on."""

import pytest

from storage.checkpoints import StoreCheckpoints
from storage.errors import IntegrityError
from storage.store import Store

pytestmark = pytest.mark.parametrize("root", ["local", "s3"], indirect=True)


def files(step: int) -> dict[str, bytes]:
    return {"weights.safetensors": b"%d" % step, "state.json": b"{%d}" % step}


@pytest.fixture
def checkpoints(store: Store) -> StoreCheckpoints:
    return StoreCheckpoints(store, "distil/f00d/checkpoints")


def damage(store: Store, step: int, name: str) -> None:
    (path,) = (
        path for path in store.list(f"distil/f00d/checkpoints/step-{step:08d}") if name in path
    )
    data = bytearray(store.read(path))
    data[-1] ^= 1
    store.delete(path)
    store.put_if_absent(path, bytes(data))


def test_the_two_newest_steps_are_kept(store: Store, checkpoints: StoreCheckpoints) -> None:
    assert checkpoints.latest() is None
    for step in (2, 4, 10):
        checkpoints.save(step, files(step))
        assert checkpoints.latest() == (step, files(step))
    kept = {path.split("/")[3] for path in store.list("distil/f00d/checkpoints")}
    assert kept == {"step-00000004", "step-00000010"}
    checkpoints.clear()
    assert checkpoints.latest() is None


def test_a_step_without_its_list_is_incomplete(store: Store, checkpoints: StoreCheckpoints) -> None:
    checkpoints.save(2, files(2))
    checkpoints.save(4, files(4))
    store.delete("distil/f00d/checkpoints/step-00000004/files.json")
    assert checkpoints.latest() == (2, files(2))
    checkpoints.save(4, files(4))
    assert checkpoints.latest() == (4, files(4))


def test_files_of_others_are_ignored(store: Store, checkpoints: StoreCheckpoints) -> None:
    folder = "distil/f00d/checkpoints"
    others = {f"{folder}/{name}" for name in (".DS_Store", "step-x/files.json", "files.json")}
    for path in others:
        store.put_if_absent(path, b"")
    assert checkpoints.latest() is None
    for step in (2, 4, 6):
        checkpoints.save(step, files(step))
    assert checkpoints.latest() == (6, files(6))
    checkpoints.clear()
    assert set(store.list(folder)) == others


@pytest.mark.parametrize("name", ["weights.safetensors", "state.json", "files.json"])
def test_a_damaged_step_is_named_and_can_be_left_out(
    store: Store, checkpoints: StoreCheckpoints, name: str
) -> None:
    for step in (2, 4):
        checkpoints.save(step, files(step))
    damage(store, 4, name)
    with pytest.raises(IntegrityError) as raised:
        checkpoints.latest()
    assert name in raised.value.path
    for path in store.list("distil/f00d/checkpoints/step-00000004"):
        store.delete(path)
    assert checkpoints.latest() == (2, files(2))
    checkpoints.save(4, files(4))
    assert checkpoints.latest() == (4, files(4))
