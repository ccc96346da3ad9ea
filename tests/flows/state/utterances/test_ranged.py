"""Of a stored shard only what is asked for is read, and one that was cut off is damaged."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.state.utterances.ranged import ranged
from storage.errors import IntegrityError
from storage.receipt import FileRef
from storage.store import Store

PATH = "normalise/a/00000.parquet"


@pytest.fixture
def shard(tmp_path: Path) -> tuple[Store, FileRef]:
    """Two row groups of 1 MiB each that do not compress."""
    path = tmp_path / PATH
    path.parent.mkdir(parents=True)
    noise = [bytes((number * 7919 + at * at) % 251 for at in range(1 << 20)) for number in (1, 2)]
    table = pa.table({"id": ["a", "b"], "audio": noise})
    pq.write_table(table, path, row_group_size=1, compression="none", use_dictionary=False)
    file = FileRef(path=PATH, sha256="0" * 64, size_bytes=path.stat().st_size)
    return Store(str(tmp_path)), file


def test_only_the_row_group_that_is_asked_for_is_read(
    shard: tuple[Store, FileRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, file = shard
    read, num_bytes = store.read, []

    def counted(path: str, start: int, end: int) -> bytes:
        num_bytes.append(end - start)
        return read(path, start, end)

    monkeypatch.setattr(store, "read", counted)
    with ranged(store, file) as parquet:
        assert parquet.read_row_group(1, columns=["id"]).to_pylist() == [{"id": "b"}]
        assert sum(num_bytes) < 200_000
        [row] = parquet.read_row_group(1).to_pylist()
    assert (row["id"], len(row["audio"])) == ("b", 1 << 20)
    assert sum(num_bytes) < 1.5 * (1 << 20)


def test_a_shard_that_is_shorter_than_it_was_is_damaged(shard: tuple[Store, FileRef]) -> None:
    store, file = shard
    path = Path(store.root) / PATH
    path.write_bytes(path.read_bytes()[: file.size_bytes // 2])
    with pytest.raises(IntegrityError, match=f"^{PATH} ends before byte ") as e:
        ranged(store, file)
    assert e.value.path == PATH
