"""The metrics of a training: one row for each update, and their file."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from storage.errors import IntegrityError

TRAINING_FILE: Final = "training.jsonl"
"""The file of the rows in a student's folder: one JSON object a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRow:
    """Metrics of one update, in nats per token; `mse` is the distance of hidden states.

    `loss` = `kl_weight` · `kl` + `pseudo_label_weight` · `ce` + `hidden_state_weight` · `mse`.
    `validation` is the score after the update, if it was measured; lower is better.
    """

    step: int
    loss: float
    ce: float
    kl: float
    learning_rate: float
    validation: float | None = None
    mse: float = 0.0


OnStep = Callable[[TrainingRow], None]
"""Called after each update."""

OnRows = Callable[[Sequence[TrainingRow]], None]
"""Called with all rows so far: on resuming, after each update, and after each validation.

The sequence grows afterwards, and is not to be changed.
"""


def ignored(rows: Sequence[TrainingRow]) -> None:
    """An `OnRows` that does nothing."""


def to_lines(rows: Iterable[TrainingRow]) -> str:
    """The contents of the file."""
    return "".join(f"{json.dumps(asdict(row))}\n" for row in rows)


def from_lines(text: str, path: str) -> list[TrainingRow]:
    """The rows of a file; raises `IntegrityError`, naming its `path`, for any other contents."""
    try:
        return [TrainingRow(**json.loads(line)) for line in text.splitlines()]
    except (TypeError, ValueError) as error:
        raise IntegrityError(
            f"{path} is not a training's metrics: {error}; expected JSON objects with step, loss,"
            " ce, kl and learning_rate",
            path,
        ) from error
