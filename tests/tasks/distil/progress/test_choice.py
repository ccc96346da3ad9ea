"""Which trackers are used, and where their logs are."""

from pathlib import Path

import pytest

from configs.schema import Runtime
from storage.errors import UserError
from storage.store import Store
from tasks.distil.progress import choice
from tasks.distil.progress.choice import chosen_trackers, describe_trackers, tracker_folder


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the modules that can be found."""
    names = {"accelerate", "tensorboard", "mlflow"}
    monkeypatch.setattr(choice, "find_spec", lambda name: name if name in names else None)
    return names


def test_tensorboard_is_used_if_it_is_installed(installed: set[str]) -> None:
    assert chosen_trackers(Runtime()) == ("tensorboard",)
    installed.discard("tensorboard")
    assert chosen_trackers(Runtime()) == ()


def test_what_is_named_has_to_be_installed(installed: set[str]) -> None:
    assert chosen_trackers(Runtime(trackers=("mlflow",))) == ("mlflow",)
    with pytest.raises(UserError, match=r"trackio, wandb is not installed; pip install trackio wa"):
        chosen_trackers(Runtime(trackers=("mlflow", "trackio", "wandb")))
    installed.clear()
    with pytest.raises(UserError, match="pip install accelerate mlflow"):
        chosen_trackers(Runtime(trackers=("mlflow",)))


def test_no_trackers_need_nothing(installed: set[str], tmp_path: Path) -> None:
    installed.clear()
    assert chosen_trackers(Runtime(trackers=())) == ()
    assert describe_trackers(Runtime(trackers=()), Store(str(tmp_path))) == ""


def test_logs_are_below_a_local_root(installed: set[str], tmp_path: Path) -> None:
    store = Store(str(tmp_path / "root"))
    assert tracker_folder(Runtime(), store) == tmp_path / "root" / "trackers"
    line = describe_trackers(Runtime(), store)
    assert f"tensorboard --logdir {tmp_path / 'root' / 'trackers'}" in line
    assert "this machine" not in line


def test_logs_of_a_run_on_an_object_store_stay_on_the_machine(
    installed: set[str], tmp_path: Path
) -> None:
    store = Store("memory://bucket/root", str(tmp_path / "scratch"))
    assert tracker_folder(Runtime(), store) == tmp_path / "scratch" / "trackers"
    assert "it stays on this machine" in describe_trackers(Runtime(), store)
    elsewhere = Runtime(tracker_folder=str(tmp_path / "logs"))
    assert tracker_folder(elsewhere, store) == tmp_path / "logs"


def test_a_folder_of_logs_is_local() -> None:
    with pytest.raises(ValueError, match="tracker_folder"):
        Runtime(tracker_folder="s3://bucket/logs")
