"""Every member that is read matches its digest; parts of large ones match those of their blocks."""

import hashlib
import io
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.schema import CorpusSettings
from storage.errors import IntegrityError
from storage.receipt import Receipt
from storage.store import Store
from tasks.corpora.base import Member
from tasks.corpora.registry import corpus_named
from tasks.corpora.sources import Delivery
from tasks.corpora.tables import TEXT, audio_in, parquet_rows
from tasks.download.files import AudioPlace, Files, RawFiles
from tasks.download.parts import Downloads
from tasks.download.raw import download
from tasks.download.schema import WHOLE_BYTES

NUM_ROWS, ROW_BYTES = 5, 4_800_000
HUB = "clean/train-00000-of-00001.parquet"


def parquet() -> bytes:
    """Rows of incompressible audio in a group each; 24 MB."""
    chance, file = random.Random(0), io.BytesIO()
    rows = [
        {"id": f"{n}", "text": f"text {n}", "audio": {"bytes": chance.randbytes(ROW_BYTES)}}
        for n in range(NUM_ROWS)
    ]
    pq.write_table(
        pa.Table.from_pylist(rows), file, row_group_size=1, use_dictionary=False, compression="none"
    )
    return file.getvalue()


@pytest.fixture(scope="module")
def table() -> bytes:
    return parquet()


Downloaded = Callable[..., list[Receipt]]


@pytest.fixture
def downloaded(store: Store, tmp_path: Path) -> Downloaded:
    """Downloads a Hub data set of one file, or hashes the file as a delivery."""

    def get(data: bytes, *, as_delivery: bool = False) -> list[Receipt]:
        corpus, path = corpus_named("peoples_speech", "hub"), tmp_path / "mirror" / HUB
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        sums = f"{hashlib.sha256(data).hexdigest()}  {HUB}\n"
        (tmp_path / "mirror" / "SHA256SUMS").write_text(sums)
        settings = CorpusSettings(mirror=str(tmp_path / "mirror"), checksums="sha256sums")
        if as_delivery:
            source = Delivery(name="d", title="d", files=("*.parquet",), expected=(), how="")
            corpus = replace(corpus, sources=(source,))
        while missing := Downloads.load(store, corpus, settings).missing():
            for part in missing.values():
                download(store, corpus, settings, part)
        return list(Downloads.load(store, corpus, settings).receipts.values())

    return get


def audio_of(files: Files, member: Member, row: int) -> bytes:
    place = (member.file, member.offset, member.size, "audio", row)
    return files.audio(AudioPlace(*place))


@pytest.mark.parametrize("as_delivery", [False, True])
def test_only_damaged_row_groups_of_a_large_parquet_file_fail(
    downloaded: Downloaded, store: Store, tmp_path: Path, table: bytes, as_delivery: bool
) -> None:
    assert len(table) > WHOLE_BYTES
    receipts, mirror = downloaded(table, as_delivery=as_delivery), str(tmp_path / "mirror")
    raw = RawFiles(store, receipts, mirror)
    [member] = raw.members(".parquet")
    expected = [row["audio"]["bytes"] for row in pq.read_table(io.BytesIO(table)).to_pylist()]
    path = tmp_path / "mirror" / HUB if as_delivery else Path(store.root) / member.file
    damaged = bytearray(table)
    damaged[table.index(expected[2]) + ROW_BYTES // 2] ^= 1
    path.write_bytes(damaged)
    files = Files(store, mirror, receipts)
    with pytest.raises(IntegrityError, match="train-00000") as raised:
        audio_of(files, member, 2)
    assert raised.value.path == ("" if as_delivery else member.file)
    assert audio_of(files, member, 0) == expected[0]
    assert raw.audio(audio_in(member, 4)) == expected[4]
    texts = [row["text"] for _, row in parquet_rows(raw, member, {"text": TEXT})]
    assert texts == [f"text {n}" for n in range(NUM_ROWS)]
    damaged[table.index(b"text 3")] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(IntegrityError, match="train-00000"):
        list(parquet_rows(raw, member, {"text": TEXT}))


def test_a_member_that_no_receipt_or_index_names_is_not_read(
    downloaded: Downloaded, store: Store, tmp_path: Path, table: bytes
) -> None:
    receipts = downloaded(table[:1000])
    [member] = RawFiles(store, receipts, None).members(".parquet")
    files = Files(store, str(tmp_path / "mirror"), receipts)
    with pytest.raises(IntegrityError, match="has no member of 10 bytes at byte 5"):
        files.read(member.file, 5, 10)
    with pytest.raises(IntegrityError, match="no receipt names it"):
        Files(store, None, []).read(member.file, 0, 1000)
    with pytest.raises(IntegrityError, match="no index of a delivery has it"):
        files.read(f"mirror:{HUB}", 0, 1000)
