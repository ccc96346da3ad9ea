"""The partition of a manifest among readers: complete, balanced, with few cuts."""

from collections import Counter
from itertools import chain

import pytest

from storage.errors import UserError
from tasks.reading.partition import (
    ALONE,
    Consumer,
    Span,
    consumed_by_workers,
    partition,
    partition_size,
)

NUM_WINDOWS = (5, 0, 12, 1, 30)
TOTAL = sum(NUM_WINDOWS)


def places(share):
    return [(span.shard, at) for span in share for at in range(span.first, span.stop)]


def shares(num, uneven, epoch=0, num_windows=NUM_WINDOWS):
    return [
        places(partition(num_windows, Consumer(index, num), seed=0, epoch=epoch, uneven=uneven))
        for index in range(num)
    ]


def test_a_single_reader_gets_the_shards_in_order() -> None:
    found = partition(NUM_WINDOWS, ALONE, seed=3, epoch=9, uneven="keep")
    assert found == [Span(0, 0, 5), Span(2, 0, 12), Span(3, 0, 1), Span(4, 0, 30)]


@pytest.mark.parametrize("num", [1, 2, 5, 7, 48])
@pytest.mark.parametrize("epoch", [0, 1])
def test_all_readers_together_get_each_window_once(num, epoch) -> None:
    found = shares(num, "keep", epoch)
    assert set(Counter(chain(*found)).values()) == {1}
    assert sum(map(len, found)) == TOTAL
    assert max(map(len, found)) - min(map(len, found)) <= 1
    assert [len(share) for share in found] == [
        partition_size(NUM_WINDOWS, Consumer(index, num), "keep") for index in range(num)
    ]


@pytest.mark.parametrize("num", [5, 7, 48, 50])
def test_drop_gives_equal_disjoint_parts(num) -> None:
    found = shares(num, "drop")
    assert {len(share) for share in found} == {TOTAL // num}
    assert set(Counter(chain(*found)).values()) <= {1}


def test_drop_skips_different_windows_in_each_epoch() -> None:
    everything = set(chain(*shares(1, "keep")))
    rests = {frozenset(everything - set(chain(*shares(5, "drop", epoch)))) for epoch in range(20)}
    assert {len(rest) for rest in rests} == {TOTAL % 5}
    assert len(rests) > 1


@pytest.mark.parametrize("num", [5, 7, 48, 50])
def test_wrap_gives_equal_parts_and_skips_nothing(num) -> None:
    found = shares(num, "wrap")
    assert {len(share) for share in found} == {-(-TOTAL // num)}
    counts = Counter(chain(*found))
    assert len(counts) == TOTAL
    assert counts.total() - TOTAL < num


def test_few_shards_are_read_by_two_readers() -> None:
    sizes = [10] * 40
    found = shares(4, "keep", num_windows=sizes)
    readers = Counter(entry for share in found for entry in {entry for entry, _ in share})
    assert sum(count - 1 for count in readers.values()) <= 3


def test_a_reader_index_out_of_range_is_refused() -> None:
    with pytest.raises(UserError, match="reader 4 of 4"):
        Consumer(4, 4)


@pytest.mark.parametrize(
    ("num_batches", "totals", "expected"),
    [
        (0, [None, None], ([0, 0], 0)),
        (5, [None, None], ([12, 8], 1)),
        (5, [None], ([20], 0)),
        (3, [9, 8], ([8, 4], 1)),
        (5, [9, 8], ([9, 8], 1)),  # 4 4 4 4 1
        (4, [9, 1], ([9, 1], 1)),  # 4 1 4 1
        (99, [9, 8], ([9, 8], 1)),
    ],
)
def test_batches_are_taken_from_the_workers_in_turn(num_batches, totals, expected) -> None:
    assert consumed_by_workers(num_batches, 4, totals) == expected
