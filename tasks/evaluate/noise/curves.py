"""Word error rate against signal-to-noise ratio: Figure 2 of the paper (arXiv 2311.00430)."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from tasks.evaluate.findings import Average, Interval

Curve = Mapping[int, float]
"""Word error rate in percent by signal-to-noise ratio in dB, the highest ratio first."""

_CONDITION: Final = re.compile(r"(?P<kind>.+)_(?P<snr_db>-?\d+)db")


def noise_curves(averages: Iterable[Average]) -> Mapping[str, Mapping[str, Curve]]:
    """The curve of each model over all sets, by kind of noise and by model."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for kind, snr_db, one in _with_noise(averages):
        if one.wer_percent is not None:
            found.setdefault(kind, {}).setdefault(one.model, {})[snr_db] = one.wer_percent
    return {
        kind: {model: dict(sorted(curve.items(), reverse=True)) for model, curve in models.items()}
        for kind, models in found.items()
    }


def noise_intervals(
    averages: Iterable[Average],
) -> Mapping[str, Mapping[str, Mapping[int, Interval]]]:
    """The 95 % intervals of the rates of `noise_curves`, by kind, model and ratio in dB."""
    found: dict[str, dict[str, dict[int, Interval]]] = {}
    for kind, snr_db, one in _with_noise(averages):
        if one.wer_interval is not None:
            found.setdefault(kind, {}).setdefault(one.model, {})[snr_db] = one.wer_interval
    return found


def _with_noise(averages: Iterable[Average]) -> Iterator[tuple[str, int, Average]]:
    """The averages over all sets with noise: its kind, the ratio in dB, and the average."""
    for one in averages:
        named = _CONDITION.fullmatch(one.condition)
        if named and one.domain == "all":
            yield named["kind"], int(named["snr_db"]), one


def condition_of(kind: str, snr_db: int) -> str:
    """The name of a condition with noise."""
    return f"{kind}_{snr_db}db"
