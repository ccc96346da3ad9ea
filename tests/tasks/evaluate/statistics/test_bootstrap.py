"""Intervals by bootstrap over speakers."""

import numpy as np
import pytest

from benchmarks.intervals import simulate
from tasks.evaluate.statistics.bootstrap import estimate, interval, mean


def numbers(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def test_the_variance_is_that_of_the_mean_for_speakers_of_equal_size() -> None:
    found = estimate(numbers(1, 2, 3, 6), numbers(10, 10, 10, 10), "a")
    assert found.value == 30.0
    assert found.variance == pytest.approx(np.var([10, 20, 30, 60], ddof=1) / 4)
    assert found.shares == pytest.approx(numbers(2.5, 5, 7.5, 15))


def test_the_variance_of_speakers_of_unequal_size_has_no_bias() -> None:
    """The mean over many sets whose rates vary by 5 points around 20 %."""
    random = np.random.default_rng(0)
    words = numbers(10, 20, 40, 80, 400)
    rates = random.normal(0.2, 0.05, (4_000, 5))
    found = [estimate(row * words, words, "a") for row in rates[:400]]
    expected = np.var(100 * rates @ words / words.sum(), ddof=1)
    assert np.mean([one.variance for one in found]) == pytest.approx(expected, rel=0.15)


def test_it_is_that_of_the_normal_distribution_for_many_equal_speakers() -> None:
    random = np.random.default_rng(1)
    errors = random.binomial(10, 0.2, 900).astype(np.float64)
    found = estimate(errors, np.full(900, 10.0), "a")
    half = 1.96 * 10 * errors.std() / np.sqrt(900)
    assert interval(found) == pytest.approx((found.value - half, found.value + half), rel=0.02)


def test_equal_rates_leave_no_uncertainty() -> None:
    found = interval(estimate(numbers(1, 2, 7), numbers(3, 6, 21), "a"))
    assert found == pytest.approx((100 / 3, 100 / 3), rel=1e-12)


def test_a_rate_is_at_least_0() -> None:
    found = estimate(numbers(0, 0, 3), numbers(10, 10, 10), "a")
    low, high = interval(found) or (0, 0)
    assert low < 0 < found.value < high
    assert interval(found, lowest=0) == (0, high)


def test_a_single_speaker_has_none() -> None:
    one, other = (estimate(numbers(3, *more), numbers(10, *more), "a") for more in ((), (5,)))
    assert (one.value, interval(one)) == (30.0, None)
    assert interval(mean([one, other])) is None


def test_speakers_without_words_count_with_others() -> None:
    found = estimate(numbers(1, 2, 4), numbers(10, 10, 0), "a")
    assert found.value == 35.0
    assert sorted(found.shares) in ([10, 25], [5, 30])
    with pytest.raises(ValueError, match="libri/test has no reference words"):
        estimate(numbers(2, 0), numbers(0, 0), "libri/test")


def test_many_speakers_are_merged_which_keeps_the_rate_and_about_the_interval() -> None:
    random = np.random.default_rng(2)
    words = random.integers(1, 30, 20_000).astype(np.float64)
    errors = random.binomial(words.astype(int), 0.1).astype(np.float64)
    found = estimate(errors, words, "a")
    assert found.value == pytest.approx(100 * errors.sum() / words.sum())
    assert len(found.shares) == 1_000
    expected = 10_000 * ((errors - found.value / 100 * words) ** 2).sum() / words.sum() ** 2
    assert found.variance == pytest.approx(expected, rel=0.1)


def test_the_same_numbers_give_the_same_interval_and_other_sets_other_resamples() -> None:
    errors, words = numbers(1, 3, 4), numbers(10, 20, 15)
    one, again, other = (estimate(errors, words, name) for name in "aab")
    assert interval(one) == interval(again) != interval(other)


def test_the_mean_of_sets_is_less_uncertain_than_each() -> None:
    random = np.random.default_rng(3)
    sets = [
        estimate(random.binomial(100, 0.1, 30) * 1.0, np.full(30, 100.0), str(index))
        for index in range(4)
    ]
    widths = [high - low for low, high in filter(None, map(interval, [*sets, mean(sets)]))]
    assert widths[4] == pytest.approx(np.mean(widths[:4]) / 2, rel=0.15)


@pytest.mark.parametrize(
    ("num_speakers", "shape"),
    [
        (8, (1.0, 0.5)),
        (20, (1.0, 0.5)),
        *(
            pytest.param(num, shape, marks=pytest.mark.slow)
            for num, shape in [(10, (1.5, 0.5)), (40, (1.0, 0.5)), (100, (1.0, 0.5))]
        ),
    ],
)
def test_of_1000_simulated_sets_95_percent_of_the_intervals_cover_the_true_rate(
    num_speakers: int, shape: tuple[float, float]
) -> None:
    """Speakers differ in size and rate; a difference is covered about as often."""
    found = simulate(1_000, num_speakers, *shape)
    assert 93 <= found.covered <= 97
    assert 92 <= found.difference_covered <= 98
    assert 3 <= found.false_positives <= 7
