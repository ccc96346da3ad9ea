"""Which trackers follow a training, and where they write; needs no model and no tracker."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from configs.schema import Runtime
from storage.errors import UserError
from storage.store import Store

_BY_DEFAULT: Final = ("tensorboard",)
_ADAPTERS: Final = "accelerate"


def chosen_trackers(settings: Runtime) -> tuple[str, ...]:
    """The trackers of a training: those that are named, else TensorBoard if it is installed.

    Raises `UserError` for one that is named and not installed.
    """
    wanted = _BY_DEFAULT if settings.trackers is None else settings.trackers
    missing = [name for name in (_ADAPTERS, *wanted) if find_spec(name) is None] if wanted else []
    if missing and settings.trackers is None:
        return ()
    if missing:
        raise UserError(
            f"runtime.trackers names {', '.join(wanted)}, and {', '.join(missing)} is not"
            f" installed; pip install {' '.join(missing)}"
        )
    return wanted


def tracker_folder(settings: Runtime, store: Store) -> Path:
    """The local folder of their logs: `trackers` below a local root, else in the scratch folder."""
    if settings.tracker_folder is not None:
        return Path(settings.tracker_folder).expanduser().absolute()
    if store.is_local:
        return Path(store.root).expanduser().absolute() / "trackers"
    return store.scratch_folder() / "trackers"


def describe_trackers(settings: Runtime, store: Store) -> str:
    """Where a training can be followed, in one line; "" without trackers. Raises as above."""
    if not (names := chosen_trackers(settings)):
        return ""
    folder = tracker_folder(settings, store)
    text = f"followed by {', '.join(names)} in {folder}"
    if "tensorboard" in names:
        text += f"; show it with: tensorboard --logdir {folder}"
    if not store.is_local and settings.tracker_folder is None:
        text += "; it stays on this machine, runtime.tracker_folder names another folder"
    return text
