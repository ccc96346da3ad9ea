"""The commit protocol: complete files, every row counted, the receipt written last."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.commit import Commit
from storage.errors import ShardError
from storage.outcome import Created, Outcome, dropped, quarantined
from storage.receipt import Counts, FileRef, PlannedShard, Receipt
from storage.shard import ShardKey
from storage.stage import Place, TableFormat, combined_digest, find_receipt
from storage.store import Store
from tasks.label.schema import LABELS

Batch = Callable[..., pa.RecordBatch]
MakeCommit = Callable[..., Receipt]

PLACE = Place(stage="stage", fingerprint="f00d", key=ShardKey("corpus", "train", 0))
SOURCE = "a" * 64

everywhere = pytest.mark.parametrize("root", ["local", "s3"], indirect=True)


def rows_of(store: Store, ref: FileRef) -> list[dict[str, Any]]:
    with store.fetch(ref) as path:
        return pq.read_table(path).to_pylist()


def refused(store: Store, make: Callable[[], object]) -> str:
    """The message of a commit that is refused and leaves nothing behind."""
    with pytest.raises(ShardError) as raised:
        make()
    assert store.list("") == {}
    assert store.unfinished() == {}
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    return message


class TestStored:
    pytestmark = everywhere

    def test_a_commit_stores_its_rows_and_counts_their_outcomes(
        self, store: Store, commit: MakeCommit, batch: Batch
    ) -> None:
        outcomes = [
            batch("a", "b", duration_s=1800.0),
            dropped("c", "too_long", "31 s"),
            batch("d", duration_s=900.0),
            dropped("e", "too_long"),
            quarantined("f", "unreadable", "no FLAC"),
        ]
        receipt = commit(outcomes, ids_in="abcdef", max_quarantined_percent=20)
        assert receipt.counts == Counts(
            rows_in=6, rows_out=3, dropped={"too_long": 2}, quarantined={"unreadable": 1}
        )
        assert receipt.hours == pytest.approx(1.25)
        assert receipt.output.num_rows == 3
        assert [row["id"] for row in rows_of(store, receipt.output)] == ["a", "b", "d"]
        assert receipt.rejected is not None
        assert rows_of(store, receipt.rejected) == [
            {"id": "c", "outcome": "dropped", "reason": "too_long", "detail": "31 s"},
            {"id": "e", "outcome": "dropped", "reason": "too_long", "detail": ""},
            {"id": "f", "outcome": "quarantined", "reason": "unreadable", "detail": "no FLAC"},
        ]
        assert find_receipt(store, PLACE, SOURCE) == receipt
        assert find_receipt(store, PLACE, "b" * 64) is None

    def test_file_names_contain_key_and_digest(
        self, store: Store, commit: MakeCommit, batch: Batch
    ) -> None:
        receipt = commit([batch("a"), dropped("b", "empty")], ids_in="ab", index=7)
        assert receipt.rejected is not None
        folder = "stage/corpus/f00d/train"
        assert sorted(store.list("")) == sorted(
            [
                f"{folder}/00007.{receipt.output.sha256[:8]}.parquet",
                f"{folder}/00007.{receipt.rejected.sha256[:8]}.quarantine.parquet",
                f"{folder}/00007.aaaaaaaa.receipt.json",
            ]
        )

    def test_the_first_of_two_commits_of_a_source_is_kept(
        self, store: Store, commit: MakeCommit, batch: Batch
    ) -> None:
        first = commit([batch("a", text="first")], ids_in="a")
        second = commit([batch("a", text="second")], ids_in="a")
        assert second == first
        assert rows_of(store, second.output)[0]["text"] == "first"

    def test_concurrent_commits_return_the_same_receipt(
        self, store: Store, commit: MakeCommit, batch: Batch
    ) -> None:
        ready = Barrier(2)

        def race(writer: int) -> Receipt:
            def outcomes() -> Iterator[Outcome]:
                yield batch("a", text=f"by {writer}")
                ready.wait()

            return commit(outcomes(), ids_in="a")

        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(race, range(2))
        assert first == second == find_receipt(store, PLACE, SOURCE)
        assert rows_of(store, first.output)[0]["text"] in ("by 0", "by 1")

    def test_commits_of_different_sources_are_kept_side_by_side(
        self, store: Store, commit: MakeCommit, batch: Batch
    ) -> None:
        first = commit([batch("a", text="old")], ids_in="a")
        second = commit([batch("a", text="new")], ids_in="a", sources=("b" * 64,))
        assert find_receipt(store, PLACE, SOURCE) == first
        assert find_receipt(store, PLACE, "b" * 64) == second


def test_a_failing_transform_leaves_no_files(
    store: Store, commit: MakeCommit, batch: Batch
) -> None:
    def outcomes() -> Iterator[Outcome]:
        yield batch("a")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        commit(outcomes(), ids_in="ab")
    assert store.list("") == {}
    assert store.unfinished() == {}


ID = pa.field("id", pa.string(), nullable=False)
DURATION = pa.field("duration_s", pa.float64(), nullable=False)
TEXT = pa.field("text", pa.string())


@pytest.mark.parametrize(
    ("fields", "row"),
    [
        ([ID, DURATION], {"id": "a", "duration_s": 1.0}),
        ([DURATION, TEXT], {"duration_s": 1.0, "text": ""}),
        ([ID, TEXT, DURATION], {"id": "a", "duration_s": 1.0, "text": ""}),
        ([ID, DURATION, TEXT, pa.field("more", pa.string())], {"id": "a", "duration_s": 1.0}),
        ([ID, pa.field("duration_s", pa.float32(), nullable=False), TEXT], {"id": "a"}),
        ([pa.field("id", pa.string()), DURATION, TEXT], {"id": "a", "duration_s": 1.0}),
    ],
    ids=["missing", "without id", "order", "more", "other type", "nullable"],
)
def test_another_schema_is_refused(
    store: Store, commit: MakeCommit, fields: list[pa.Field], row: dict[str, Any]
) -> None:
    wrong = pa.RecordBatch.from_pylist([row], schema=pa.schema(fields))
    assert "duration_s double not null" in refused(store, lambda: commit([wrong], ids_in="a"))


def test_a_null_in_a_required_column_is_refused(
    store: Store, commit: MakeCommit, batch: Batch
) -> None:
    columns = [["a"], pa.array([None], pa.float64()), ["text"]]
    wrong = pa.RecordBatch.from_arrays([pa.array(c) for c in columns], schema=batch().schema)
    assert "duration_s" in refused(store, lambda: commit([wrong], ids_in="a"))


@pytest.mark.parametrize(
    ("ids_in", "ids_out", "more", "expected"),
    [
        ("ab", ["a", "b", "a"], [], "'a' has two outcomes"),
        ("ab", ["a", "b"], [dropped("b", "empty")], "'b' has two outcomes"),
        ("ab", ["a"], [dropped("b", "empty"), quarantined("b", "bad")], "'b' has two outcomes"),
        ("abc", ["c"], [], "2 rows have no outcome, the first is 'a'"),
        ("a", ["a", "z"], [], "'z' has an outcome but is not in the input"),
        ("a", ["a"], [dropped("z", "empty")], "'z' has an outcome but is not in the input"),
        ("aab", ["a", "b"], [], "3 rows but only 2 different ids"),
        ("a", ["a"], [Created(("a",))], "'a' is declared as created but already exists"),
        ("a", ["a"], [Created(("b", "b"))], "'b' is declared as created but already exists"),
        ("a", ["a"], [Created(("b",))], "1 rows have no outcome, the first is 'b'"),
    ],
)
def test_lost_duplicated_and_unknown_rows_are_refused(
    store: Store,
    commit: MakeCommit,
    batch: Batch,
    ids_in: str,
    ids_out: list[str],
    more: list[Outcome],
    expected: str,
) -> None:
    outcomes = [*map(batch, ids_out), *more]
    message = refused(store, lambda: commit(outcomes, ids_in=ids_in, max_quarantined_percent=100))
    assert expected in message


def test_too_many_quarantined_rows_are_refused_naming_the_first(
    store: Store, commit: MakeCommit, batch: Batch
) -> None:
    ids = [f"{number:03d}" for number in range(100)]
    outcomes = [batch(*ids[2:]), dropped(ids[0], "empty"), quarantined(ids[1], "torn", "at 3 s")]
    assert commit(outcomes, ids_in=ids, max_quarantined_percent=1).counts.quarantined == {"torn": 1}
    store.delete(PLACE.receipt_path(SOURCE))
    for path in store.list(""):
        store.delete(path)
    message = refused(store, lambda: commit(outcomes, ids_in=ids, max_quarantined_percent=0.9))
    assert "1 of 100 rows (1.0 %)" in message
    assert "001: torn at 3 s" in message


def test_created_rows_count_as_input(store: Store, commit: MakeCommit, batch: Batch) -> None:
    outcomes = [Created(("a.1", "a.2")), batch("a.1", "b"), dropped("a.2", "too_short")]
    receipt = commit([*outcomes, dropped("a", "cut")], ids_in="ab")
    assert receipt.counts == Counts(
        rows_in=2, created=2, rows_out=2, dropped={"cut": 1, "too_short": 1}
    )


def test_a_stage_without_input_rows_counts_its_outcomes(commit: MakeCommit, batch: Batch) -> None:
    outcomes = [Created(("c",)), batch("a", "c"), dropped("b", "empty")]
    assert commit(outcomes, ids_in=None).counts == Counts(
        rows_in=2, created=1, rows_out=2, dropped={"empty": 1}
    )


def test_a_window_counts_the_utterances_in_it(store: Store, commit: MakeCommit) -> None:
    window = {
        name: {"string": "", "int32": 0, "double": 3600.0}.get(str(LABELS.field(name).type), [])
        for name in LABELS.names
    }
    windows = [
        {**window, "window_id": "w1", "utterance_ids": ["a", "b"], "offsets_s": [0.0, 1.0]},
        {**window, "window_id": "w2", "utterance_ids": ["c"], "offsets_s": [0.0]},
    ]
    whole = pa.RecordBatch.from_pylist(windows, schema=LABELS)
    parts = [whole.slice(0, 1), whole.slice(1, 1), dropped("d", "too_long")]
    receipt = commit(parts, ids_in="abcd", schema=LABELS)
    assert receipt.counts == Counts(rows_in=4, rows_out=3, dropped={"too_long": 1})
    assert receipt.output.num_rows == 2
    assert receipt.hours == 2.0


def test_a_shard_without_output_rows_keeps_its_schema(
    store: Store, commit: MakeCommit, batch: Batch
) -> None:
    receipt = commit([dropped("a", "empty")], ids_in="a")
    with store.fetch(receipt.output) as path:
        table = pq.read_table(path)
    assert table.num_rows == 0
    assert table.schema.equals(batch().schema)


def test_row_groups_have_about_16_mb(store: Store, commit: MakeCommit, batch: Batch) -> None:
    noise = random.Random(0).randbytes(1 << 19).hex()
    receipt = commit([batch(f"{n:02d}", text=noise) for n in range(40)], ids_in=numbered(40))
    assert row_groups(store, receipt) == [16, 16, 8]


def test_a_stage_can_write_a_row_group_per_batch(
    store: Store, commit: MakeCommit, batch: Batch
) -> None:
    batches = [batch("a", "b", "c"), batch("d"), batch("e", "f")]
    receipt = commit(batches, ids_in="abcdef", row_group_bytes=None)
    assert row_groups(store, receipt) == [3, 1, 2]


def numbered(number: int) -> list[str]:
    return [f"{n:02d}" for n in range(number)]


def row_groups(store: Store, receipt: Receipt) -> list[int]:
    with store.fetch(receipt.output) as path:
        metadata = pq.ParquetFile(path).metadata
    return [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]


def test_equal_rows_give_equal_bytes(store: Store, commit: MakeCommit, batch: Batch) -> None:
    outcomes = [batch("a", "b"), dropped("c", "empty"), quarantined("d", "torn", "x")]
    made = [
        commit(outcomes, ids_in="abcd", sources=(source * 64,), max_quarantined_percent=50)
        for source in "ab"
    ]
    assert made[0].output == made[1].output
    assert made[0].rejected == made[1].rejected


def test_the_digest_of_one_source_is_its_own_and_of_several_combined() -> None:
    assert combined_digest(["a" * 64]) == "a" * 64
    assert len(combined_digest(["a" * 64, "b" * 64])) == 64
    assert combined_digest(["a" * 64, "b" * 64]) != combined_digest(["b" * 64, "a" * 64])


def test_a_plan_counts_the_hours_of_its_shards(store: Store, batch: Batch) -> None:
    shards = [PlannedShard(index=n, digest="c" * 64, num_rows=1, hours=1.5) for n in range(2)]
    receipt = Commit(
        store=store,
        table=TableFormat(schema=batch().schema),
        place=PLACE,
        sources=(SOURCE,),
        ids_in=None,
        max_quarantined_percent=0,
        planned=shards,
    )(iter([batch("a"), batch("b")]))
    assert receipt.hours == 3.0
    assert receipt.planned == tuple(shards)


def test_counts_that_lose_a_row_are_invalid() -> None:
    with pytest.raises(ValueError, match="3 in \\+ 1 created is not 1 out \\+ 2"):
        Counts(rows_in=3, created=1, rows_out=1, dropped={"a": 1}, quarantined={"b": 1})


def test_counts_with_an_extra_created_row_are_invalid() -> None:
    with pytest.raises(ValueError, match="lost or doubled"):
        Counts(rows_in=1, created=1, rows_out=1)
