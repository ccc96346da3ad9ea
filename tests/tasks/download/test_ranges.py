"""Parts of files are checked block by block; nothing that is damaged is returned."""

import io
import random
from hashlib import sha256
from threading import Thread

import pytest

from storage.errors import IntegrityError
from tasks.download.ranges import CheckedOnce, CheckedRange, hash_blocks, hash_range
from tasks.download.schema import BLOCK_BYTES

DATA = random.Random(0).randbytes(5 * BLOCK_BYTES + 1234)
OFFSET = 700


class Stored:
    """A file with `DATA` from `OFFSET` on, which counts what is read of it."""

    def __init__(self) -> None:
        self.data = bytearray(bytes(OFFSET) + DATA)
        self.num_bytes = 0

    def read(self, start: int, end: int) -> bytes:
        self.num_bytes += end - start
        return bytes(self.data[start:end])

    def opened(self, blocks: bytes | None) -> io.BufferedReader:
        checked = CheckedRange(self.read, OFFSET, len(DATA), blocks, damaged)
        return io.BufferedReader(checked, BLOCK_BYTES)


def damaged(start: int, end: int, found: str, expected: str) -> IntegrityError:
    return IntegrityError(f"{start} to {end} has {found}, not {expected}")


def blocks() -> bytes:
    whole, digests = hash_blocks(lambda start, end: DATA[start:end], len(DATA))
    assert whole == sha256(DATA).hexdigest()
    return digests


@pytest.mark.parametrize("seed", range(20))
def test_any_reads_return_the_bytes_of_the_file(seed: int) -> None:
    chance, expected = random.Random(seed), io.BytesIO(DATA)
    with Stored().opened(blocks()) as file:
        for _ in range(20):
            at, size = chance.randrange(len(DATA) + 10), chance.choice((1, 8, 70_000, 3_000_000))
            assert file.seek(at) == expected.seek(at)
            assert file.read(size) == expected.read(size)
        assert file.seek(-8, io.SEEK_END) == expected.seek(-8, io.SEEK_END)
        assert file.read() == expected.read()


def test_what_is_read_in_order_is_transferred_once() -> None:
    stored = Stored()
    with stored.opened(blocks()) as file:
        file.seek(100)
        while file.read(10_000):
            continue
    assert stored.num_bytes == len(DATA)


@pytest.mark.parametrize("at", [0, 3 * BLOCK_BYTES + 5, len(DATA) - 1])
def test_a_flipped_bit_is_found_in_the_block_that_is_read_and_only_there(at: int) -> None:
    stored = Stored()
    stored.data[OFFSET + at] ^= 1
    with stored.opened(blocks()) as file:
        file.seek(at)
        with pytest.raises(IntegrityError, match=f"^{OFFSET + at // BLOCK_BYTES * BLOCK_BYTES} to"):
            file.read(1)
        file.seek((at + 2 * BLOCK_BYTES) % len(DATA) // BLOCK_BYTES * BLOCK_BYTES)
        assert len(file.read(100)) == 100


def test_a_range_that_was_checked_before_is_read_as_it_is() -> None:
    with Stored().opened(None) as file:
        assert file.read() == DATA


def test_a_range_is_hashed_in_pieces() -> None:
    found = hash_range(lambda start, end: DATA[start:end], 10, len(DATA))
    assert found.hexdigest() == sha256(DATA[10:]).hexdigest()


def test_a_check_is_made_once_by_all_threads_together_and_again_after_an_error() -> None:
    once, calls = CheckedOnce(), list[int]()
    with pytest.raises(ZeroDivisionError):
        once.check(("a",), lambda: calls.append(1 // 0))
    threads = [Thread(target=once.check, args=(("a",), lambda: calls.append(1))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    once.check(("b",), lambda: calls.append(2))
    assert calls == [1, 2]
