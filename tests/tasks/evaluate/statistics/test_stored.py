"""Samples from stored shards of transcripts."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.errors import IntegrityError
from storage.receipt import Counts, Receipt
from storage.shard import ShardKey
from storage.store import Store
from tasks.evaluate.findings import CLEAN
from tasks.evaluate.result import Measured
from tasks.evaluate.schema import MEASURED
from tasks.evaluate.statistics.stored import samples_of


def row(name: str, insertions: int) -> dict[str, Any]:
    return {
        "id": name, "utterance_ids": None, "speaker_id": "ann", "duration_s": 1.0,
        "reference": "the boat", "hypothesis": "the boat sank", "num_reference_words": 2,
        "hits": 2, "substitutions": 0, "deletions": 0, "insertions": insertions,
        "num_reference_chars": 8, "char_errors": 5, "snr_db": None,
    }  # fmt: skip


def shard(store: Store, model: str, number: int, split: str, *rows: dict[str, Any]) -> Measured:
    folder = f"evaluate/{model}/talks/0a1b/{split}"
    with store.sink(folder) as sink:
        pq.write_table(pa.Table.from_pylist(list(rows), schema=MEASURED), sink)
        output = store.keep(sink, f"{folder}/{number:05d}.12345678.parquet")
    receipt = Receipt(
        stage="evaluate", fingerprint="0a1b", key=ShardKey("talks", split, number),
        source_digest="0" * 64, output=output,
        counts=Counts(rows_in=len(rows), rows_out=len(rows)),
    )  # fmt: skip
    return Measured(model, CLEAN, receipt)


def test_the_shards_of_a_set_are_one_sample_and_empty_sets_none(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    measured = [
        shard(store, "teacher", 0, "test", row("b", 1)),
        shard(store, "student", 0, "test", row("b", 2)),
        shard(store, "teacher", 1, "test", row("a", 0)),
        shard(store, "teacher", 0, "dev"),
    ]
    first, second = samples_of(store, measured)
    assert (first.model, first.condition, first.set) == ("teacher", CLEAN, "talks/test")
    assert list(first.ids) == ["a", "b"] and list(first.errors) == [0, 1]
    assert second.model == "student" and list(second.errors) == [2]


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    measured = shard(store, "teacher", 0, "test", row("a", 1))
    (tmp_path / measured.receipt.output.path).write_bytes(b"PAR1")
    with pytest.raises(IntegrityError):
        list(samples_of(store, [measured]))
