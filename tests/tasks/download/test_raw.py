"""From a mirror into the store: what is wanted, brought once, and read by member."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.schema import CorpusSettings
from storage.errors import IntegrityError, ShardError, TransientError, UserError
from storage.receipt import Counts, Receipt
from storage.shard import ShardKey
from storage.store import Store
from tasks.corpora.base import Archive, Corpus, Licence, Member, Raw, Segment
from tasks.download.raw import (
    RawFiles,
    archives_of,
    chosen_splits,
    download,
    downloads,
    wanted_archives,
)
from tests.builders import tar_gz
from tests.tasks.download.conftest import FileServer

everywhere = pytest.mark.parametrize("root", ["local", "s3"], indirect=True)

TRAIN = {"train/a.txt": b"first", "train/b.txt": b"second", "train/empty.txt": b""}
TEST = {"test/c.txt": b"third"}
PACKED = {"train.tar.gz": tar_gz(TRAIN), "test.tar.gz": tar_gz(TEST)}
FIRST = ShardKey("corpus", "archives", 0)


def no_segments(raw: Raw) -> Iterator[Segment]:
    return iter(())


def corpus(base: str = "https://example.invalid", **digests: str) -> Corpus:
    return Corpus(
        name="corpus",
        title="A Corpus",
        homepage=base,
        hours=1,
        paper_hours=None,
        licence=Licence(name="CC0", commercial_use=True, derivatives=True, redistribution=True),
        revision="r1",
        archives=(
            Archive(url=f"{base}/train.tar.gz", splits=("train",), **digests),
            Archive(url=f"{base}/test.tar.gz", splits=("test",)),
            Archive(url=f"{base}/words.tsv"),
        ),
        splits={"train": "train", "test": "test"},
        read=no_segments,
        clean=str.lower,
    )


def sha256sums(files: dict[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(d).hexdigest()}  {n}\n" for n, d in files.items()).encode()


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A folder with the files of the distributor and their checksums."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, data in PACKED.items():
        (folder / name).write_bytes(data)
    (folder / "SHA256SUMS").write_bytes(sha256sums(PACKED))
    return folder


def listed(mirror: object) -> CorpusSettings:
    return CorpusSettings(mirror=str(mirror), checksums="sha256sums")


@everywhere
def test_a_file_is_kept_with_its_index_and_a_receipt(store: Store, mirror: Path) -> None:
    receipt = download(store, corpus(), listed(mirror), FIRST)
    assert receipt.counts == Counts(rows_in=1, rows_out=1)
    assert receipt.recorded["source"] == f"{mirror}/train.tar.gz"
    assert receipt.recorded["sha256"] == hashlib.sha256(PACKED["train.tar.gz"]).hexdigest()
    assert receipt.output.path.startswith("raw/corpus/r1/archives/00000.")
    assert receipt.output.path.endswith(".train.tar")
    assert downloads(store, corpus()).receipts == (receipt,)
    for file in (receipt.output, *receipt.beside):
        with store.fetch(file):
            pass


@everywhere
def test_members_are_read_to_the_byte(store: Store, mirror: Path) -> None:
    receipts = [
        download(store, corpus(), listed(mirror), ShardKey("corpus", "archives", number))
        for number in (1, 0)
    ]
    raw = RawFiles(store, receipts)
    assert {member.name: raw.read(member) for member in raw.members()} == TRAIN | TEST
    assert [member.name for member in raw.members()] == sorted(TRAIN | TEST)
    assert [member.name for member in raw.members("b.txt")] == ["train/b.txt"]


def test_a_stored_archive_that_was_cut_is_told_and_not_read_short(
    store: Store, mirror: Path
) -> None:
    receipt = download(store, corpus(), listed(mirror), FIRST)
    raw = RawFiles(store, [receipt])
    data = store.read(receipt.output.path)
    store.delete(receipt.output.path)
    store.put_if_absent(receipt.output.path, data[:600])
    [member] = raw.members("b.txt")
    with pytest.raises(IntegrityError, match=r"train\.tar"):
        raw.read(member)


def test_what_is_there_is_not_brought_again(store: Store, mirror: Path) -> None:
    receipt = download(store, corpus(), listed(mirror), FIRST)
    (mirror / "train.tar.gz").unlink()
    assert download(store, corpus(), listed(mirror), FIRST) == receipt


def test_a_download_leaves_nothing_but_its_files(store: Store, server: FileServer) -> None:
    server.files |= {**PACKED, "SHA256SUMS": sha256sums(PACKED)}
    receipt = download(store, corpus(), listed(server.url), FIRST)
    assert len(store.list("")) == 3
    assert store.unfinished() == {}
    assert receipt.recorded["source"] == f"{server.url}/train.tar.gz"


def test_a_download_that_was_broken_off_is_resumed(store: Store, server: FileServer) -> None:
    server.files |= {**PACKED, "SHA256SUMS": sha256sums(PACKED)}
    server.breaks_after = 150
    with pytest.raises(TransientError):
        download(store, corpus(), listed(server.url), FIRST)
    assert store.list("raw") == {}
    server.breaks_after = None
    receipt = download(store, corpus(), listed(server.url), FIRST)
    assert [member.name for member in RawFiles(store, [receipt]).members()] == sorted(TRAIN)


def test_the_published_digest_is_what_counts(store: Store, mirror: Path) -> None:
    data = PACKED["train.tar.gz"]
    settings = CorpusSettings(mirror=str(mirror))
    for digests in ({"sha256": "0" * 64}, {"md5": "0" * 32}):
        with pytest.raises(IntegrityError, match=r"train\.tar\.gz"):
            download(store, corpus(**digests), settings, FIRST)
    assert store.list("") == {}
    genuine = corpus(md5=hashlib.md5(data).hexdigest())
    assert download(store, genuine, settings, FIRST).recorded["md5"] == genuine.archives[0].md5


def test_a_file_without_a_published_digest_needs_a_mirror_with_one(
    store: Store, mirror: Path
) -> None:
    with pytest.raises(UserError, match="checksums: sha256sums"):
        download(store, corpus(), CorpusSettings(mirror=str(mirror)), FIRST)


@pytest.mark.parametrize("line", ["{}  {}", "{} *{}", "{}  ./{}", "{} {}"])
@pytest.mark.parametrize("is_upper", [False, True])
def test_a_list_of_checksums_may_be_written_as_its_tools_do(
    store: Store, mirror: Path, line: str, is_upper: bool
) -> None:
    sha256 = hashlib.sha256(PACKED["train.tar.gz"]).hexdigest()
    text = line.format(sha256.upper() if is_upper else sha256, "train.tar.gz")
    (mirror / "SHA256SUMS").write_text(f"{'0' * 64}  other-train.tar.gz\n\n{text}\n")
    download(store, corpus(), listed(mirror), FIRST)


@pytest.mark.parametrize("text", [b"", b"0000  other.tar.gz\n", b"\xff\xfe\x00", b"<html>"])
def test_a_list_of_checksums_without_the_file_is_the_users_mistake(
    store: Store, mirror: Path, text: bytes
) -> None:
    (mirror / "SHA256SUMS").write_bytes(text)
    with pytest.raises(UserError, match=r"SHA256SUMS does not list train\.tar\.gz"):
        download(store, corpus(), listed(mirror), FIRST)
    (mirror / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match="SHA256SUMS is not there"):
        download(store, corpus(), listed(mirror), FIRST)


def test_an_archive_that_is_none_is_terminal_and_leaves_nothing(store: Store, mirror: Path) -> None:
    (mirror / "train.tar.gz").write_bytes(b"not gzip")
    (mirror / "SHA256SUMS").write_bytes(sha256sums({"train.tar.gz": b"not gzip"}))
    with pytest.raises(ShardError, match=r"train\.tar\.gz"):
        download(store, corpus(), listed(mirror), FIRST)
    assert store.list("") == {}
    assert store.unfinished() == {}


@pytest.mark.parametrize(
    ("splits", "names"),
    [
        (None, ["train.tar.gz", "test.tar.gz", "words.tsv"]),
        (("test",), ["test.tar.gz", "words.tsv"]),
        (("train",), ["train.tar.gz", "words.tsv"]),
    ],
)
def test_only_the_files_of_the_chosen_splits_are_wanted(
    splits: tuple[str, ...] | None, names: list[str]
) -> None:
    wanted = wanted_archives(corpus(), CorpusSettings(splits=splits))
    assert [archive.name for archive in wanted.values()] == names
    assert all(corpus().archives[key.index] == archive for key, archive in wanted.items())


def test_the_splits_are_those_chosen_in_the_corpus_order() -> None:
    assert chosen_splits(corpus(), CorpusSettings(splits=("test", "train"))) == ("train", "test")
    with pytest.raises(UserError, match="no split 'dev'; there are train, test"):
        chosen_splits(corpus(), CorpusSettings(splits=("dev",)))
    assert list(archives_of(corpus(), "test")) == [
        ShardKey("corpus", "archives", 1),
        ShardKey("corpus", "archives", 2),
    ]


def test_a_member_knows_where_it_lies(store: Store, mirror: Path) -> None:
    receipt: Receipt = download(store, corpus(), listed(mirror), FIRST)
    [member] = RawFiles(store, [receipt]).members("train/b.txt")
    assert member == Member(receipt.output.path, "train/b.txt", member.offset, 6)
