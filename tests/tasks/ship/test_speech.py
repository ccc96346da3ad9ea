"""Windows of held-out speech, on which a converted student is compared."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.errors import UserError
from storage.receipt import FileRef
from storage.store import Store
from tasks.normalise.schema import NORMALISED
from tasks.ship.speech import read_windows

Row = Callable[..., dict[str, Any]]


def put(store: Store, name: str, *rows: dict[str, Any]) -> tuple[str, FileRef]:
    """Store normalised rows as the shard of a set."""
    table = pa.Table.from_pylist(list(rows), schema=NORMALISED)
    with store.sink("normalise") as sink:
        pq.write_table(table, sink)
        return name, store.keep(sink, f"normalise/{name}.parquet")


def test_utterances_of_two_sets_with_one_id_are_two_windows(store: Store, row: Row) -> None:
    files = [
        put(store, "librispeech/dev", row("u", 8_000)),
        put(store, "tedlium/dev", row("u", 20_000)),
    ]
    found = read_windows(store, files, num_windows=16, max_samples=16_000)
    assert len(found) == 3
    assert sum(map(len, found.values())) == 28_000


def test_speech_without_utterances_is_no_speech_to_compare_on(store: Store) -> None:
    with pytest.raises(UserError, match=r"has no utterances, .* convert what `--format hf` writes"):
        read_windows(store, [put(store, "tedlium/dev")], num_windows=16, max_samples=16_000)
