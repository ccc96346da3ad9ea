"""The utterances that speed is measured on."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.receipt import FileRef
from storage.store import Store
from tasks.audio import decode_flac
from tasks.evaluate import timed_speech
from tasks.evaluate.timed_speech import timed_sample
from tasks.normalise.schema import NORMALISED

WINDOW_SAMPLES = 16_000

Shard = Callable[..., tuple[str, FileRef]]


@pytest.fixture
def shard(store: Store, row: Callable[..., dict[str, Any]]) -> Shard:
    """Stores a shard of a set with these ids and lengths, two rows to a group."""

    def write(set_name: str, lengths: dict[str, int]) -> tuple[str, FileRef]:
        table = pa.Table.from_pylist([row(*one) for one in lengths.items()], schema=NORMALISED)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, row_group_size=2)
        data = sink.getvalue().to_pybytes()
        digest = hashlib.sha256(data).hexdigest()
        path = f"normalise/{set_name}/{digest[:8]}.parquet"
        assert store.put_if_absent(path, data)
        return set_name, FileRef(path=path, sha256=digest, size_bytes=len(data))

    return write


def lengths_of(samples: list[np.ndarray[Any, Any]]) -> list[int]:
    return sorted(len(one) for one in samples)


def test_every_set_has_the_same_share(store: Store, shard: Shard) -> None:
    """A small set is taken as a whole, and others fill what it lacks."""
    files = [
        shard("a/test", {f"a{one}": 1_000 + one for one in range(5)}),
        shard("a/test", {f"b{one}": 2_000 + one for one in range(5)}),
        shard("b/test", {f"c{one}": 3_000 + one for one in range(20)}),
        shard("c/test", {"d0": 5_000, "d1": 5_001}),
    ]
    found = lengths_of(timed_sample(files, store, 12, WINDOW_SAMPLES))
    assert len(found) == len(set(found)) == 12
    assert [sum(low <= one < high for one in found) for low, high in
            ((1_000, 3_000), (3_000, 5_000), (5_000, 6_000))] == [5, 5, 2]  # fmt: skip


def test_the_choice_depends_on_ids_and_seed_alone(store: Store, shard: Shard) -> None:
    lengths = {f"u{one}": 1_000 + one for one in range(12)}
    whole = [shard("a/test", lengths)]
    items = list(lengths.items())
    parts = [shard("a/test", dict(items[8:])), shard("a/test", dict(items[:8]))]
    expected = timed_sample(whole, store, 5, WINDOW_SAMPLES)
    again = timed_sample(parts, store, 5, WINDOW_SAMPLES)
    assert all(np.array_equal(*pair) for pair in zip(expected, again, strict=True))
    other = timed_sample(whole, store, 5, WINDOW_SAMPLES, seed=1)
    assert lengths_of(other) != lengths_of(expected)


def test_longer_utterances_become_several_windows(store: Store, shard: Shard) -> None:
    [*found] = timed_sample([shard("a/test", {"u": 40_000})], store, 3, WINDOW_SAMPLES)
    assert sum(map(len, found)) == 40_000
    assert max(map(len, found)) <= WINDOW_SAMPLES


def test_of_utterances_that_last_hours_the_beginning_is_enough(store: Store, shard: Shard) -> None:
    """A window each, since all of them would not fit into memory."""
    files = [shard("a/test", {f"u{one}": 100_000 + one for one in range(5)})]
    found = timed_sample(files, store, 4, WINDOW_SAMPLES)
    assert len(found) == 4
    assert all(2 * WINDOW_SAMPLES // 3 <= len(one) <= WINDOW_SAMPLES for one in found)
    assert all(one.base is None for one in found)  # no part of what was decoded
    assert len(timed_sample(files, store, 10, WINDOW_SAMPLES)) == 10


def test_only_what_was_chosen_is_decoded(
    store: Store, shard: Shard, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []

    def counting(data: bytes) -> Any:
        decoded.append(data)
        return decode_flac(data)

    monkeypatch.setattr(timed_speech, "decode_flac", counting)
    files = [shard("a/test", {f"u{one}": 1_000 + one for one in range(30)})]
    assert len(timed_sample(files, store, 4, WINDOW_SAMPLES)) == len(decoded) == 4


def test_nothing_is_chosen_of_nothing(store: Store) -> None:
    assert timed_sample([], store, 4, WINDOW_SAMPLES) == []
