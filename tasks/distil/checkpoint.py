"""Snapshots of a training as files: tensors as safetensors, everything else as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, Final, Protocol

import safetensors
import safetensors.torch

from storage.errors import IntegrityError
from tasks.distil.best import Best, Score, Tensors
from tasks.distil.progress.rows import TrainingRow
from tasks.distil.stage import DISTIL
from tasks.whisper.model import find_not_finite

_FORMAT: Final = 2
_ALONE_FORMAT: Final = 1
"""Of checkpoints with the best weights alone, which are read too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The complete state of a training after `step` updates, with its best weights so far."""

    step: int
    weights: Tensors
    optimizer: Tensors
    best: Sequence[Best]
    rows: Sequence[TrainingRow]


class Checkpoints(Protocol):
    """Storage of snapshots."""

    def save(self, step: int, files: Mapping[str, bytes]) -> None:
        """Store the files of a step atomically; older steps may be deleted afterwards."""
        ...

    def latest(self) -> tuple[int, dict[str, bytes]] | None:
        """The files of the highest complete step, compared as a number; None if there is none."""
        ...

    def location(self, step: int) -> str:
        """The path of a file of a step, below the root of its storage, which an error names."""
        ...


def to_files(snapshot: Snapshot, settings: Mapping[str, object]) -> dict[str, bytes]:
    """Serialise a snapshot; `settings`, plain JSON values, are those of the training."""
    state = {
        "format": _FORMAT,
        "step": snapshot.step,
        "settings": dict(settings),
        "best": [
            {"steps": one.steps, "score": one.score.value, "details": one.score.details}
            for one in snapshot.best
        ],
        "columns": [column.name for column in fields(TrainingRow)],
        "rows": [astuple(row) for row in snapshot.rows],
    }
    files = {
        "weights.safetensors": _saved(snapshot.weights),
        "optimizer.safetensors": _saved(snapshot.optimizer),
        "state.json": json.dumps(state).encode(),
    }
    for number, one in enumerate(snapshot.best, 1):
        files[_best_file(number)] = _saved(one.weights)
    return files


def from_files(files: Mapping[str, bytes], settings: Mapping[str, object]) -> Snapshot:
    """Load a snapshot written by `to_files`, with tensors on the CPU.

    Raises `IntegrityError` if a file is missing or damaged, the settings differ, or a weight is NaN
    or infinite.
    """
    try:
        state = json.loads(files["state.json"])
        if state["format"] not in (_FORMAT, _ALONE_FORMAT):
            raise ValueError(f"its format is {state['format']}")
        columns = state["columns"]
        snapshot = Snapshot(
            step=state["step"],
            weights=safetensors.torch.load(files["weights.safetensors"]),
            optimizer=safetensors.torch.load(files["optimizer.safetensors"]),
            best=_best_of(state, files),
            rows=[TrainingRow(**dict(zip(columns, row, strict=True))) for row in state["rows"]],
        )
        made_with = {**DISTIL.defaults, **state["settings"]}  # those that are newer than it
    except (KeyError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise IntegrityError(
            f"the checkpoint cannot be read: {type(error).__name__}: {error}; expected a state of"
            f" format {_FORMAT} in {', '.join(sorted(files)) or 'its files'}"
        ) from error
    _refuse_other_settings(made_with, settings)
    _refuse_not_finite(snapshot)
    return snapshot


def _best_of(state: Mapping[str, Any], files: Mapping[str, bytes]) -> Sequence[Best]:
    if state["format"] == _ALONE_FORMAT:
        alone = state["best"]
        if alone is None:
            return []
        weights = safetensors.torch.load(files["best.safetensors"])
        return [Best(steps=(alone["step"],), score=Score(alone["score"]), weights=weights)]
    return [
        Best(
            steps=tuple(one["steps"]),
            score=Score(one["score"], one["details"]),
            weights=safetensors.torch.load(files[_best_file(number)]),
        )
        for number, one in enumerate(state["best"], 1)
    ]


def _refuse_not_finite(snapshot: Snapshot) -> None:
    for tensors in (snapshot.weights, *(one.weights for one in snapshot.best)):
        if (name := find_not_finite(tensors)) is not None:
            raise IntegrityError(
                f"the checkpoint of step {snapshot.step} has NaN or infinite weights in {name},"
                " expected finite numbers"
            )


def _refuse_other_settings(made_with: Mapping[str, object], settings: Mapping[str, object]) -> None:
    for name, value in settings.items():
        if made_with.get(name) != value:
            raise IntegrityError(
                f"the checkpoint was made with distil.{name} = {made_with.get(name)!r}, this"
                f" training has {value!r}"
            )


def _best_file(number: int) -> str:
    return f"best-{number}.safetensors"


def _saved(tensors: Tensors) -> bytes:
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    saved: bytes = safetensors.torch.save(plain)
    return saved
