"""Intervals of word error rates by bootstrap."""

import numpy as np
import pyarrow as pa
import pytest
from tasks.evaluate.interval import wer_interval


def measured(words: list[int], errors: list[int]) -> pa.Table:
    """A table with substitutions alone."""
    zeros = [0] * len(words)
    return pa.table(
        {
            "num_reference_words": words,
            "substitutions": errors,
            "deletions": zeros,
            "insertions": zeros,
        }
    )


def test_it_is_that_of_the_normal_approximation_for_many_equal_utterances() -> None:
    random = np.random.default_rng(1)
    errors = random.binomial(10, 0.2, 2_000)
    interval = wer_interval([measured([10] * 2_000, errors.tolist())])
    assert interval is not None
    rate, half = 10 * errors.mean(), 1.96 * 10 * errors.std() / np.sqrt(2_000)
    assert interval == pytest.approx((rate - half, rate + half), rel=0.02)


def test_utterances_of_several_tables_count_together() -> None:
    one, other = measured([5, 5], [0, 5]), measured([10], [2])
    assert wer_interval([one, other]) == wer_interval([pa.concat_tables([one, other])])


def test_equal_rates_leave_no_uncertainty() -> None:
    assert wer_interval([measured([4, 8], [1, 2])]) == (25.0, 25.0)


@pytest.mark.parametrize("tables", [[], [measured([], [])], [measured([0, 0], [1, 1])]])
def test_without_words_there_is_none(tables: list[pa.Table]) -> None:
    assert wer_interval(tables) is None
