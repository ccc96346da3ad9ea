"""Prefetching: results and errors in order, bounded, threads that end."""

import threading
import time
from contextlib import closing
from itertools import count, islice

import pytest

from tasks.read_ahead import read_ahead


def test_results_come_in_order() -> None:
    def slow_for_even(number: int) -> int:
        time.sleep(0.004 * (number % 2 == 0))
        return number * number

    with closing(read_ahead(iter(range(40)), slow_for_even, num_threads=4, num_ahead=6)) as found:
        assert list(found) == [number * number for number in range(40)]


def test_prefetching_is_bounded() -> None:
    drawn: list[int] = []

    def numbers():
        for number in count():
            drawn.append(number)
            yield number

    with closing(read_ahead(numbers(), abs, num_threads=2, num_ahead=5)) as found:
        assert not drawn
        assert list(islice(found, 3)) == [0, 1, 2]
        time.sleep(0.1)
        assert len(drawn) <= 3 + 5 + 2


@pytest.mark.parametrize("where", ["items", "work"])
def test_an_error_is_raised_at_its_position(where) -> None:
    def numbers():
        yield from range(3)
        if where == "items":
            raise OSError("the disk is gone")
        yield 3

    def work(number: int) -> int:
        if number == 3:
            raise OSError("the disk is gone")
        return number

    found = read_ahead(numbers(), work, num_threads=2, num_ahead=10)
    assert list(islice(found, 3)) == [0, 1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(found)


def test_closing_stops_the_threads_and_the_iterator() -> None:
    closed = threading.Event()
    before = threading.active_count()

    def numbers():
        try:
            yield from count()
        finally:
            closed.set()

    with closing(read_ahead(numbers(), abs, num_threads=3, num_ahead=4)) as found:
        next(found)
        assert threading.active_count() > before
    assert closed.is_set()
    assert threading.active_count() == before
