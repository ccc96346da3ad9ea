"""Confidence intervals of word error rates, by bootstrap over utterances."""

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Interval = tuple[float, float]
"""The lower and upper end of a word error rate, in percent."""

NUM_RESAMPLES: Final = 1_000
COVERED_PERCENT: Final = 95.0


def wer_interval(tables: Iterable[pa.Table]) -> Interval | None:
    """The 95 % interval of the word error rate of tables (MEASURED); None without words.

    Utterances are drawn with replacement, 1,000 times from a fixed seed, and the middle 95 % of the
    rates are taken (Bisani and Ney, ICASSP 2004). Utterances of one speaker are not independent, so
    that with few speakers it is too narrow.
    """
    tables = list(tables)
    words = _column(tables, "num_reference_words")
    errors = (
        _column(tables, "substitutions")
        + _column(tables, "deletions")
        + _column(tables, "insertions")
    )
    if not words.sum():
        return None
    random = np.random.default_rng(0)
    rates = []
    for _ in range(NUM_RESAMPLES):
        drawn = random.integers(0, len(words), len(words))
        if num_words := words[drawn].sum():
            rates.append(100 * errors[drawn].sum() / num_words)
    tail = (100 - COVERED_PERCENT) / 2
    low, high = np.percentile(rates, [tail, 100 - tail])
    return float(low), float(high)


def _column(tables: Iterable[pa.Table], name: str) -> npt.NDArray[np.int64]:
    columns = [table.column(name).to_numpy().astype(np.int64) for table in tables]
    return np.concatenate([np.zeros(0, np.int64), *columns])
