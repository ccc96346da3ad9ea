"""How often intervals of word error rates cover the true rate, and how often equal models differ.

    python -m benchmarks.intervals [--sets N] [--json]

Prints, for simulated sets of few and of many speakers, how many of the 95 % intervals cover the
rate that all sets were drawn from, their median width, how many intervals of the difference of two
equal models cover 0, and for how many of these the paired test has p < 0.05. Numbers of words and
rates differ by speaker. Without models and without audio.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

from tasks.evaluate.statistics.bootstrap import estimate, interval
from tasks.evaluate.statistics.sign_test import p_value

Sums = npt.NDArray[np.float64]

TRUE_PERCENT: Final = 10.0
NUM_SPEAKERS: Final = (2, 4, 8, 10, 20, 40, 100)
SHAPES: Final = ((0.5, 0.3), (1.0, 0.5), (1.0, 0.7), (1.5, 0.5))
"""The spread of the logarithm of utterances by speaker, and that of rates relative to their mean:
with 1.5, one speaker in ten has more than seven times the median, another less than a seventh."""
_ALPHA: Final = 0.05
_UTTERANCES: Final = 30  # of the median speaker
_WORDS: Final = 15  # of an utterance
_CLUSTER: Final = 2.5  # variance over mean of the errors of a speaker, since errors come together


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What was found of the simulated sets of one kind; all but the counts in percent."""

    num_sets: int
    num_speakers: int
    size_spread: float
    rate_spread: float
    covered: float
    width: float
    difference_covered: float
    false_positives: float


def simulated(
    random: np.random.Generator, num_speakers: int, size_spread: float, rate_spread: float
) -> tuple[Sums, Sums, Sums]:
    """Errors of two equal models and words, by speaker; the rates follow a gamma distribution."""
    sizes = _UTTERANCES * np.exp(random.normal(0, size_spread, num_speakers))
    words = _WORDS * np.maximum(1, np.round(sizes))
    shape = rate_spread**-2
    rates = random.gamma(shape, TRUE_PERCENT / 100 / shape, num_speakers)
    count = np.maximum(words * rates / (_CLUSTER - 1), 1e-9)
    errors, others = random.negative_binomial(count, 1 / _CLUSTER, (2, num_speakers))
    return errors.astype(np.float64), others.astype(np.float64), words


def simulate(num_sets: int, num_speakers: int, size_spread: float, rate_spread: float) -> Found:
    """Simulate sets of one kind, from a fixed seed."""
    random = np.random.default_rng(num_speakers)
    widths: list[float] = []
    num_covered = num_difference_covered = num_false = 0
    for index in range(num_sets):
        errors, others, words = simulated(random, num_speakers, size_spread, rate_spread)
        found = interval(estimate(errors, words, f"set {index}"), lowest=0)
        difference = estimate(errors - others, words, f"set {index}")
        of_difference = interval(difference)
        assert found
        assert of_difference
        widths.append(found[1] - found[0])
        num_covered += found[0] <= TRUE_PERCENT <= found[1]
        num_difference_covered += of_difference[0] <= 0 <= of_difference[1]
        num_false += p_value(difference.shares) < _ALPHA
    return Found(
        num_sets=num_sets,
        num_speakers=num_speakers,
        size_spread=size_spread,
        rate_spread=rate_spread,
        covered=100 * num_covered / num_sets,
        width=float(np.median(widths)),
        difference_covered=100 * num_difference_covered / num_sets,
        false_positives=100 * num_false / num_sets,
    )


def main(arguments: list[str]) -> None:
    """Simulate all kinds of sets and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.intervals")
    parser.add_argument("--sets", type=int, default=1_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    kinds = product(NUM_SPEAKERS, SHAPES)
    rows = (simulate(options.sets, num, *shape) for num, shape in kinds)
    if options.json:
        sys.stdout.write(json.dumps([asdict(row) for row in rows]) + "\n")
        return
    sys.stdout.write("speakers  spread of words, rates  covered, %  width  of 0, %  p < 0.05, %\n")
    for row in rows:
        sys.stdout.write(
            f"{row.num_speakers:8}  {row.size_spread:15.1f} {row.rate_spread:6.1f}"
            f"  {row.covered:10.1f}  {row.width:5.1f}  {row.difference_covered:7.1f}"
            f"  {row.false_positives:11.1f}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
