"""Shares of a manifest: together everything, each about as much, few cuts."""

from collections import Counter
from itertools import chain

import pytest

from storage.errors import UserError
from tasks.reading.share import ALONE, Consumer, Piece, consumed_by_workers, pieces, share_size

NUM_WINDOWS = (5, 0, 12, 1, 30)
TOTAL = sum(NUM_WINDOWS)


def places(share):
    return [(piece.entry, at) for piece in share for at in range(piece.first, piece.stop)]


def shares(num, uneven, epoch=0, num_windows=NUM_WINDOWS):
    return [
        places(pieces(num_windows, Consumer(index, num), seed=0, epoch=epoch, uneven=uneven))
        for index in range(num)
    ]


def test_a_reader_alone_takes_the_entries_as_they_come() -> None:
    found = pieces(NUM_WINDOWS, ALONE, seed=3, epoch=9, uneven="keep")
    assert found == [Piece(0, 0, 5), Piece(2, 0, 12), Piece(3, 0, 1), Piece(4, 0, 30)]


@pytest.mark.parametrize("num", [1, 2, 5, 7, 48])
@pytest.mark.parametrize("epoch", [0, 1])
def test_together_they_take_each_window_once(num, epoch) -> None:
    found = shares(num, "keep", epoch)
    assert set(Counter(chain(*found)).values()) == {1}
    assert sum(map(len, found)) == TOTAL
    assert max(map(len, found)) - min(map(len, found)) <= 1
    assert [len(share) for share in found] == [
        share_size(NUM_WINDOWS, Consumer(index, num), "keep") for index in range(num)
    ]


@pytest.mark.parametrize("num", [5, 7, 48, 50])
def test_dropped_shares_are_equal_and_overlap_nowhere(num) -> None:
    found = shares(num, "drop")
    assert {len(share) for share in found} == {TOTAL // num}
    assert set(Counter(chain(*found)).values()) <= {1}


def test_what_is_dropped_is_another_rest_each_epoch() -> None:
    everything = set(chain(*shares(1, "keep")))
    rests = {frozenset(everything - set(chain(*shares(5, "drop", epoch)))) for epoch in range(20)}
    assert {len(rest) for rest in rests} == {TOTAL % 5}
    assert len(rests) > 1


@pytest.mark.parametrize("num", [5, 7, 48, 50])
def test_wrapped_shares_are_equal_and_leave_nothing_out(num) -> None:
    found = shares(num, "wrap")
    assert {len(share) for share in found} == {-(-TOTAL // num)}
    counts = Counter(chain(*found))
    assert len(counts) == TOTAL
    assert counts.total() - TOTAL < num


def test_few_entries_are_read_by_two() -> None:
    sizes = [10] * 40
    found = shares(4, "keep", num_windows=sizes)
    readers = Counter(entry for share in found for entry in {entry for entry, _ in share})
    assert sum(count - 1 for count in readers.values()) <= 3


def test_a_reader_beyond_the_last_is_refused() -> None:
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
def test_batches_come_from_each_worker_in_turn(num_batches, totals, expected) -> None:
    assert consumed_by_workers(num_batches, 4, totals) == expected
