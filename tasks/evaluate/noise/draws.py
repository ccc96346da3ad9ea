"""Random numbers that depend only on a seed and on the names of what they are drawn for.

Made from the raw output of Philox, a counter-based generator (Salmon and others, 2011), keyed by a
digest. Numpy keeps the raw output stable between versions, but not its distributions.
"""

import heapq
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from storage.fingerprint import digest
from tasks.audio import Samples

_KEY_DIGITS: Final = 32  # hexadecimal, of 4 bits each
_BLOCK: Final = 1 << 18  # even, since numbers are drawn in pairs


def fractions(num: int, seed: int, *names: str) -> npt.NDArray[np.float64]:
    """(num,) numbers, uniform in [0, 1)."""
    return _next_fractions(_generator(seed, names), num)


def gaussian(num: int, seed: int, *names: str) -> Samples:
    """(num,) float32 of normal distribution with variance 1, by the transform of Box and Muller.

    Fewer numbers are the beginning of more. Works in blocks, since a recording may last hours.
    """
    generator = _generator(seed, names)
    found = np.empty(num, np.float32)
    for start in range(0, num, _BLOCK):
        num_pairs = -(-min(num - start, _BLOCK) // 2)
        pairs = _next_fractions(generator, 2 * num_pairs).reshape(num_pairs, 2)
        radius = np.sqrt(-2 * np.log1p(-pairs[:, 0]))
        angle = 2 * np.pi * pairs[:, 1]
        block = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1).reshape(-1)
        found[start : start + _BLOCK] = block[: num - start]
    return found


def sampled_ids(ids: Iterable[str], seed: int, num: int) -> frozenset[str]:
    """At most `num` of the ids, chosen at random: those of the smallest digests.

    Independent of their order; of more ids, few of those chosen before are displaced.
    """
    return frozenset(heapq.nsmallest(num, set(ids), key=lambda one: digest([seed, "sample", one])))


def _generator(seed: int, names: tuple[str, ...]) -> np.random.Philox:
    return np.random.Philox(key=int(digest([seed, *names])[:_KEY_DIGITS], 16))


def _next_fractions(generator: np.random.Philox, num: int) -> npt.NDArray[np.float64]:
    raw: npt.NDArray[np.uint64] = generator.random_raw(num) >> np.uint64(11)
    return raw.astype(np.float64) * 2.0**-53
