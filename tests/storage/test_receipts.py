"""The receipts of a split, read from one listing, and its failures."""

from collections.abc import Callable

import pytest

from storage.errors import IntegrityError
from storage.receipt import Counts, FileRef, Receipt
from storage.receipts import Split, record_failure, summarise
from storage.shard import ShardKey
from storage.stage import Place, find_receipt
from storage.store import Store

pytestmark = pytest.mark.parametrize("root", ["local", "s3"], indirect=True)

FOLDER = "stage/corpus/f00d/train"


def place(index: int) -> Place:
    return Place(stage="stage", fingerprint="f00d", key=ShardKey("corpus", "train", index))


def put_receipt(
    store: Store, index: int, source: str = "a", hours: float = 1.0, finished_at: str = ""
) -> Receipt:
    receipt = Receipt(
        stage="stage",
        fingerprint="f00d",
        key=place(index).key,
        source_digest=source * 64,
        output=FileRef(path=f"{FOLDER}/x.parquet", sha256="0" * 64, size_bytes=1),
        counts=Counts(rows_in=2, rows_out=1, dropped={"empty": 1}),
        hours=hours,
        recorded={"batch_size": 4},
        finished_at=finished_at,
    )
    path = place(index).receipt_path(receipt.source_digest)
    assert store.put_if_absent(path, receipt.model_dump_json().encode())
    return receipt


@pytest.fixture
def num_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """The number of files read since the last call."""
    read, counted = store.read, []

    def counting(path: str, *range: int | None) -> bytes:
        counted.append(path)
        return read(path, *range)

    monkeypatch.setattr(store, "read", counting)

    def since() -> int:
        number = len(counted)
        counted.clear()
        return number

    return since


def test_a_split_has_the_receipts_in_order(store: Store) -> None:
    receipts = [put_receipt(store, index) for index in (2, 0, 1)]
    split = Split.load(store, FOLDER)
    assert split.receipts == tuple(sorted(receipts, key=lambda receipt: receipt.key))
    assert split.failures == ()
    assert split.find(place(2).key, "a" * 64) == receipts[0]
    assert split.find(place(2).key, "b" * 64) is None
    assert split.find(place(3).key, "a" * 64) is None


def test_a_split_that_never_ran_is_empty(store: Store) -> None:
    assert Split.load(store, FOLDER) == Split((), ())


def test_a_shard_can_have_receipts_of_several_sources(store: Store) -> None:
    old, new = put_receipt(store, 0, "a"), put_receipt(store, 0, "b")
    split = Split.load(store, FOLDER)
    assert split.find(place(0).key, "a" * 64) == old
    assert split.find(place(0).key, "b" * 64) == new


def test_a_summary_gives_the_same_receipts_with_one_read(
    store: Store, num_read: Callable[[], int]
) -> None:
    for index in range(20):
        put_receipt(store, index)
    before = Split.load(store, FOLDER)
    assert num_read() == 20
    summarise(store, FOLDER)
    num_read()
    assert Split.load(store, FOLDER) == before
    assert num_read() == 1


def test_a_second_summary_of_the_same_receipts_reads_only_the_first(
    store: Store, num_read: Callable[[], int]
) -> None:
    put_receipt(store, 0)
    summarise(store, FOLDER)
    num_read()
    summarise(store, FOLDER)
    assert num_read() == 1


def test_a_summary_is_stale_after_a_new_receipt(store: Store) -> None:
    put_receipt(store, 0)
    summarise(store, FOLDER)
    put_receipt(store, 1)
    assert len(Split.load(store, FOLDER).receipts) == 2


def test_with_an_outdated_summary_only_new_receipts_are_read(
    store: Store, num_read: Callable[[], int]
) -> None:
    receipts = [put_receipt(store, index) for index in range(20)]
    summarise(store, FOLDER)
    receipts += [put_receipt(store, index) for index in (20, 21)]
    num_read()
    assert Split.load(store, FOLDER).receipts == tuple(receipts)
    assert num_read() == 3
    summarise(store, FOLDER)
    assert num_read() == 3
    assert Split.load(store, FOLDER).receipts == tuple(receipts)
    assert num_read() == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"{",
        lambda data: b'{"receipts": [{}]}',
        lambda data: b"\xff\xfe",
        lambda data: data.replace(b'"hours": 1.0', b'"hours": 9.0'),
    ],
)
def test_a_damaged_summary_is_ignored_and_replaced(
    store: Store, damage: Callable[[bytes], bytes]
) -> None:
    receipt = put_receipt(store, 0)
    summarise(store, FOLDER)
    (path,) = (path for path in store.list(FOLDER) if path.endswith(".summary.json"))
    whole = store.read(path)
    store.delete(path)
    store.put_if_absent(path, damage(whole))
    assert Split.load(store, FOLDER).receipts == (receipt,)
    summarise(store, FOLDER)
    assert store.read(path) == whole


def test_a_summary_is_stale_after_a_receipt_is_deleted(store: Store) -> None:
    put_receipt(store, 0)
    summarise(store, FOLDER)
    store.delete(place(0).receipt_path("a" * 64))
    assert Split.load(store, FOLDER).receipts == ()


def test_a_summary_is_stale_after_a_receipt_is_rewritten(store: Store) -> None:
    put_receipt(store, 0, hours=1.0)
    summarise(store, FOLDER)
    store.delete(place(0).receipt_path("a" * 64))
    put_receipt(store, 0, hours=2.0)
    assert [receipt.hours for receipt in Split.load(store, FOLDER).receipts] == [2.0]


def test_a_new_summary_replaces_the_old_ones(store: Store) -> None:
    for index in range(3):
        put_receipt(store, index)
        summarise(store, FOLDER)
    summaries = [path for path in store.list(FOLDER) if path.endswith(".summary.json")]
    assert len(summaries) == 1
    assert len(Split.load(store, FOLDER).receipts) == 3


def test_a_failure_is_reported_until_there_is_a_receipt(store: Store) -> None:
    record_failure(store, place(0), "no such file", "2026-01-01T00:00:00")
    again = record_failure(store, place(0), "torn", "2026-01-02T00:00:00")
    assert again.attempt == 2
    assert Split.load(store, FOLDER).failures == (again,)
    put_receipt(store, 0)
    assert Split.load(store, FOLDER).failures == ()
    summarise(store, FOLDER)
    assert Split.load(store, FOLDER).failures == ()


def test_a_damaged_record_of_a_failure_still_counts(store: Store) -> None:
    record_failure(store, place(0), "torn", "2026-01-01T00:00:00")
    data = store.read(place(0).failure_path())
    store.delete(place(0).failure_path())
    store.put_if_absent(place(0).failure_path(), data.replace(b"torn", b"worn"))
    (failure,) = Split.load(store, FOLDER).failures
    assert (failure.stage, failure.key) == ("stage", place(0).key)
    assert failure.reason == "unknown: the record of the failure is damaged"
    again = record_failure(store, place(0), "torn", "2026-01-02T00:00:00")
    assert Split.load(store, FOLDER).failures == (again,)


@pytest.mark.parametrize("name", ["._00000", "notes", "0", ""])
def test_a_failure_under_another_name_is_ignored(store: Store, name: str) -> None:
    store.put_if_absent(f"{FOLDER}/{name}.failure.json", b"")
    failure = record_failure(store, place(0), "torn", "2026-01-01T00:00:00")
    assert Split.load(store, FOLDER).failures == (failure,)


def test_a_failure_after_a_receipt_of_other_input_is_reported(store: Store) -> None:
    put_receipt(store, 0, finished_at="2026-01-02T00:00:00")
    record_failure(store, place(0), "torn", "2026-01-01T00:00:00")
    assert Split.load(store, FOLDER).failures == ()
    later = record_failure(store, place(0), "torn", "2026-01-03T00:00:00")
    assert Split.load(store, FOLDER).failures == (later,)


def test_a_receipt_of_another_shard_hides_no_failure(store: Store) -> None:
    failure = record_failure(store, place(1), "torn", "2026-01-01T00:00:00")
    put_receipt(store, 0)
    assert Split.load(store, FOLDER).failures == (failure,)


def test_files_deleted_during_a_read_count_as_deleted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = put_receipt(store, 0)
    summarise(store, FOLDER)
    put_receipt(store, 1)
    record_failure(store, place(2), "torn", "2026-01-01T00:00:00")
    listing = store.list(FOLDER)
    store.delete(place(1).receipt_path("a" * 64))
    store.delete(place(2).failure_path())
    monkeypatch.setattr(store, "list", lambda folder: listing)
    assert Split.load(store, FOLDER) == Split((kept,), ())


@pytest.mark.parametrize("damaged", [b"", b"{", b'{"stage": "x"}', b"\xff\xfe"])
def test_a_damaged_receipt_is_named(store: Store, damaged: bytes) -> None:
    path = place(0).receipt_path("a" * 64)
    store.put_if_absent(path, damaged)
    for load in (
        lambda: Split.load(store, FOLDER),
        lambda: find_receipt(store, place(0), "a" * 64),
    ):
        with pytest.raises(IntegrityError, match=path) as raised:
            load()
        assert len(str(raised.value).splitlines()) == 1
