"""A paired test whose units are speakers."""

from typing import Final

import numpy as np
import numpy.typing as npt

_EXACT_UNITS: Final = 14
_NUM_FLIPS: Final = 9_999
_CHUNK: Final = 250
_HALF: Final = 0.5
_ROUNDING: Final = 1e-9


def p_value(shares: npt.NDArray[np.float64]) -> float:
    """The two-sided p-value of a sum of differences, one share of it per speaker.

    If two models were equally good, each speaker's difference could as well have the other sign
    (Fisher's randomisation test). All assignments of signs are tried with up to 14 speakers who
    differ; with more, 9,999 random ones and the one found (Phipson and Smyth, 2010).
    """
    differing = shares[shares != 0]
    found = abs(differing.sum()) * (1 - _ROUNDING)
    if len(differing) == 0:
        return 1.0
    if len(differing) <= _EXACT_UNITS:
        return float(np.mean(np.abs(_signs(len(differing)) @ differing) >= found))
    random = np.random.default_rng(0)
    num_extreme = 1
    for start in range(0, _NUM_FLIPS, _CHUNK):
        shape = (min(_CHUNK, _NUM_FLIPS - start), len(differing))
        kept = (random.random(shape, np.float32) < _HALF).astype(np.float64) @ differing
        num_extreme += int(np.sum(np.abs(2 * kept - differing.sum()) >= found))
    return num_extreme / (_NUM_FLIPS + 1)


def _signs(num: int) -> npt.NDArray[np.int64]:
    """All assignments of 1 and -1 to `num` units; by symmetry, the first unit always has 1."""
    rest = (np.arange(2 ** (num - 1))[:, None] >> np.arange(num - 1)) & 1
    return np.hstack([np.ones((len(rest), 1), np.int64), 1 - 2 * rest])
