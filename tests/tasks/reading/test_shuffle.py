"""The order of an epoch: complete, deterministic, and shuffled within its bounds."""

from collections import Counter
from itertools import product

import pytest

from tasks.reading.shuffle import WindowIndex, epoch_order

NUM_WINDOWS = (5, 0, 12, 1, 30)
BOUNDS = list(product([1, 2, 16], [1, 7, 1000]))


def _order(
    seed=0, epoch=0, num_open=2, num_buffered=7, num_windows=NUM_WINDOWS
) -> list[WindowIndex]:
    return list(
        epoch_order(
            num_windows, seed=seed, epoch=epoch, num_open=num_open, num_buffered=num_buffered
        )
    )


@pytest.mark.parametrize(("num_open", "num_buffered"), BOUNDS)
def test_every_window_occurs_once(num_open, num_buffered) -> None:
    found = Counter(_order(num_open=num_open, num_buffered=num_buffered))
    expected = {(entry, at) for entry, count in enumerate(NUM_WINDOWS) for at in range(count)}
    assert set(found) == expected
    assert set(found.values()) == {1}


def test_the_order_depends_on_seed_and_epoch() -> None:
    assert _order() == _order()
    assert _order(epoch=1) != _order()
    assert _order(seed=1) != _order()


def test_the_order_is_stable() -> None:
    """Training that resumes under another version must get the same order."""
    expected = [(1, 1), (1, 3), (1, 2), (1, 0), (0, 1), (0, 2), (0, 0)]
    assert _order(num_windows=(3, 4)) == expected


@pytest.mark.parametrize(("num_open", "num_buffered"), BOUNDS)
def test_the_number_of_buffered_windows_is_bounded(num_open, num_buffered) -> None:
    """To yield a window, those before it in its shard are read and kept until their turn."""
    num_read: Counter[int] = Counter()
    num_given: Counter[int] = Counter()
    for entry, position in _order(num_open=num_open, num_buffered=num_buffered):
        num_read[entry] = max(num_read[entry], position + 1)
        num_given[entry] += 1
        assert (num_read - num_given).total() <= num_buffered


def test_a_buffer_for_all_windows_gives_a_full_shuffle() -> None:
    firsts = Counter(_order(seed=seed, num_buffered=1000)[0] for seed in range(4_800))
    assert len(firsts) == 48
    assert max(firsts.values()) < 2 * min(firsts.values())
