"""A line chart made of characters, for terminals."""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise
from string import ascii_lowercase
from typing import Final

_WIDTH: Final = 61
_HEIGHT: Final = 12
_MARGIN: Final = 6
_SEVERAL: Final = "*"
_STEP: Final = 10
"""The vertical axis ends at a multiple of it."""


def character_plot(
    by_name: Mapping[str, Mapping[int, float]], *, x_label: str, y_label: str
) -> Iterator[str]:
    """Lines of at most 79 characters: curves from the highest x on the left to the lowest.

    Each curve has a letter, which the last line explains, at its points and dots between them. The
    vertical axis begins at 0.
    """
    xs = [x for curve in by_name.values() for x in curve]
    left, right = max(xs), min(xs)
    top = max(y for curve in by_name.values() for y in curve.values())
    top = max(_STEP, _STEP * math.ceil(top / _STEP))

    def column(x: float) -> int:
        return round((_WIDTH - 1) * (left - x) / (left - right)) if left > right else 0

    def row(y: float) -> int:
        return round((_HEIGHT - 1) * (1 - y / top))

    cells = [[" "] * _WIDTH for _ in range(_HEIGHT)]
    for curve in by_name.values():
        for start, end in pairwise(sorted(curve, reverse=True)):
            for at in range(column(start), column(end) + 1):
                share = (at - column(start)) / max(1, column(end) - column(start))
                cells[row(curve[start] + share * (curve[end] - curve[start]))][at] = "."
    marks = _marks(by_name)
    for name, curve in by_name.items():
        for x, y in curve.items():
            is_taken = cells[row(y)][column(x)] not in " ."
            cells[row(y)][column(x)] = _SEVERAL if is_taken else marks[name]
    yield y_label
    for number, line in enumerate(cells):
        is_labelled = number in (0, _HEIGHT - 1)
        label = f"{top * (1 - number / (_HEIGHT - 1)):.0f}" if is_labelled else ""
        yield f"{label:>{_MARGIN - 2}} |{''.join(line)}".rstrip()
    yield f"{'':>{_MARGIN - 2}} +{'-' * _WIDTH}"
    yield f"{'':>{_MARGIN}}{_ends(left, right)} {x_label}"
    names = [f"{mark} {name}" for name, mark in marks.items()]
    yield f"{'':>{_MARGIN}}{', '.join([*names, f'{_SEVERAL} several'])}"


def _marks(names: Mapping[str, object]) -> dict[str, str]:
    letters = ascii_lowercase + ascii_lowercase.upper()
    return {name: letters[number % len(letters)] for number, name in enumerate(names)}


def _ends(left: int, right: int) -> str:
    return f"{left}{right:>{_WIDTH - len(str(left))}}"
