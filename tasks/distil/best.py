"""The best weights of a training: which of them are kept, and their average."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Score:
    """How good weights are; a lower value is better.

    `details`, plain JSON values, are recorded with the student.
    """

    value: float
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """Trainable weights with their score, after a step or averaged over several.

    The first of `steps` has the best score.
    """

    steps: tuple[int, ...]
    score: Score
    weights: Tensors


def with_scored(best: Sequence[Best], scored: Best, number: int) -> tuple[Best, ...]:
    """The best so many, in their order; of equal scores the earlier one comes first.

    What was scored at the same step before is replaced.
    """
    others = (one for one in best if one.steps != scored.steps)
    return tuple(sorted((*others, scored), key=_rank)[:number])


def _rank(one: Best) -> tuple[bool, float, int]:
    """NaN comes last, since nothing could be measured; of several, the latest comes first."""
    value, step = one.score.value, one.steps[0]
    return (True, 0.0, -step) if math.isnan(value) else (False, value, step)


def mean_weights(best: Sequence[Best]) -> Tensors:
    """The mean of each tensor, computed in float64, in its own dtype."""
    first = best[0].weights
    return {
        name: torch.stack([one.weights[name].double() for one in best]).mean(0).to(value.dtype)
        for name, value in first.items()
    }
