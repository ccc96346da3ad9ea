import numpy as np
import pytest

from tasks.evaluate.statistics.sign_test import p_value


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([3.0], 1.0),  # both signs are as far from 0
        ([1.0, 1.0], 2 / 4),
        ([1.0, 1.0, 1.0], 2 / 8),
        ([2.0, 1.0, -1.0], 6 / 8),  # only 0 is less extreme than 2: -2+1+1, 2-1-1
        ([5.0, -5.0], 1.0),
        ([1.0, 2.0, 4.0, 8.0, 16.0], 2 / 32),
        ([1.0] * 10 + [0.0] * 7, 2 / 1024),  # speakers without a difference decide nothing
        ([0.0, 0.0], 1.0),
        ([], 1.0),
    ],
)
def test_it_is_exact_with_few_speakers(shares: list[float], expected: float) -> None:
    assert p_value(np.array(shares)) == pytest.approx(expected)
    assert p_value(-np.array(shares)) == pytest.approx(expected)


def test_rounding_makes_no_difference() -> None:
    assert p_value(np.array([0.1, 0.2, 0.3, -0.3])) == p_value(np.array([1.0, 2.0, 3.0, -3.0]))


def test_with_many_speakers_it_is_about_that_of_the_normal_distribution() -> None:
    shares = np.array([1.0] * 220 + [-1.0] * 180)
    # a sum of 40 with a standard deviation of 20, after the correction for continuity
    assert p_value(shares) == pytest.approx(0.051, abs=0.007)
    assert p_value(shares) == p_value(-shares)


def test_it_is_never_0() -> None:
    assert p_value(np.ones(500)) == 1 / 10_000
