"""Downloads from a mirror into the store, and reading members."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from configs.schema import CorpusSettings
from storage.errors import IntegrityError, ShardError, TransientError, UserError
from storage.receipt import Counts, Receipt
from storage.shard import ShardKey
from storage.store import Store
from tasks.corpora.base import Corpus, Licence, Member, Raw, Segment
from tasks.corpora.sources import Archive, Delivery, HubFiles, Source
from tasks.download.files import RawFiles
from tasks.download.parts import Downloads, Part, chosen_splits
from tasks.download.raw import download
from tests.builders import tar_gz
from tests.tasks.download.conftest import FileServer

everywhere = pytest.mark.parametrize("root", ["local", "s3"], indirect=True)

TRAIN = {"train/a.txt": b"first", "train/b.txt": b"second", "train/empty.txt": b""}
TEST = {"test/c.txt": b"third"}
PACKED = {"train.tar.gz": tar_gz(TRAIN), "test.tar.gz": tar_gz(TEST)}
FIRST = ShardKey("corpus", "archives", 0)
HUB = HubFiles(
    repo="owner/set", revision="main", patterns={"train": ("train-*.bin",), "": ("*.txt",)}
)
DISCS = Delivery(
    name="LDC0000S00",
    title="Two Discs",
    files=("*/audio/*.sph", "*.txt"),
    expected=(),
    how="order it at its distributor",
)


def no_segments(raw: Raw) -> Iterator[Segment]:
    return iter(())


def corpus(
    base: str = "https://example.invalid", sources: tuple[Source, ...] = (), **digests: str
) -> Corpus:
    return Corpus(
        name="corpus",
        title="A Corpus",
        homepage=base,
        licence=Licence(name="CC0", commercial_use=True, derivatives=True, redistribution=True),
        revision="r1",
        sources=sources
        or (
            Archive(url=f"{base}/train.tar.gz", splits=("train",), **digests),
            Archive(url=f"{base}/test.tar.gz", splits=("test",)),
            Archive(url=f"{base}/words.tsv"),
        ),
        splits={"train": "train", "test": "test"},
        hours={"train": 1, "test": 1},
        read=no_segments,
        clean=str.lower,
        examples={},
    )


def sha256sums(files: dict[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(d).hexdigest()}  {n}\n" for n, d in files.items()).encode()


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A folder with the distributed files and their checksums."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, data in PACKED.items():
        (folder / name).write_bytes(data)
    (folder / "SHA256SUMS").write_bytes(sha256sums(PACKED))
    return folder


def listed(mirror: object, **settings: object) -> CorpusSettings:
    return CorpusSettings(mirror=str(mirror), checksums="sha256sums", **settings)


def part(store: Store, corpus: Corpus, settings: CorpusSettings, number: int = 0) -> Part:
    return Downloads.load(store, corpus, settings).parts[ShardKey("corpus", "archives", number)]


def download_part(
    store: Store, corpus: Corpus, settings: CorpusSettings, number: int = 0
) -> Receipt:
    return download(store, corpus, settings, part(store, corpus, settings, number))


def download_all(store: Store, corpus: Corpus, settings: CorpusSettings) -> list[Receipt]:
    """Download all parts, also those that a listing adds, as the flow does."""
    while pending := Downloads.load(store, corpus, settings).missing():
        for one in pending.values():
            download(store, corpus, settings, one)
    return list(Downloads.load(store, corpus, settings).receipts.values())


@everywhere
def test_a_file_is_stored_with_index_and_receipt(store: Store, mirror: Path) -> None:
    receipt = download_part(store, corpus(), listed(mirror))
    assert receipt.counts == Counts(rows_in=1, rows_out=1)
    assert receipt.recorded["source"] == f"{mirror}/train.tar.gz"
    assert receipt.recorded["sha256"] == hashlib.sha256(PACKED["train.tar.gz"]).hexdigest()
    assert receipt.output.path.startswith("raw/corpus/r1/archives/00000.")
    assert receipt.output.path.endswith(".train.tar")
    assert Downloads.load(store, corpus(), listed(mirror)).receipts == {FIRST: receipt}
    for file in (receipt.output, *receipt.beside):
        with store.fetch(file):
            pass


@everywhere
def test_members_are_read_exactly(store: Store, mirror: Path) -> None:
    receipts = [download_part(store, corpus(), listed(mirror), number) for number in (1, 0)]
    raw = RawFiles(store, receipts, None)
    assert {member.name: raw.read(member) for member in raw.members()} == TRAIN | TEST
    assert [member.name for member in raw.members()] == sorted(TRAIN | TEST)
    assert [member.name for member in raw.members("b.txt")] == ["train/b.txt"]


def test_a_truncated_stored_archive_is_an_error(store: Store, mirror: Path) -> None:
    receipt = download_part(store, corpus(), listed(mirror))
    raw = RawFiles(store, [receipt], None)
    data = store.read(receipt.output.path)
    store.delete(receipt.output.path)
    store.put_if_absent(receipt.output.path, data[:600])
    [member] = raw.members("b.txt")
    with pytest.raises(IntegrityError, match=r"train\.tar"):
        raw.read(member)


def test_a_stored_file_is_not_downloaded_again(store: Store, mirror: Path) -> None:
    receipt = download_part(store, corpus(), listed(mirror))
    (mirror / "train.tar.gz").unlink()
    assert download_part(store, corpus(), listed(mirror)) == receipt


def test_a_download_leaves_no_temporary_files(store: Store, server: FileServer) -> None:
    server.files |= {**PACKED, "SHA256SUMS": sha256sums(PACKED)}
    receipt = download_part(store, corpus(), listed(server.url))
    assert len(store.list("")) == 3
    assert store.unfinished() == {}
    assert receipt.recorded["source"] == f"{server.url}/train.tar.gz"


def test_an_interrupted_part_is_resumed(store: Store, server: FileServer) -> None:
    server.files |= {**PACKED, "SHA256SUMS": sha256sums(PACKED)}
    server.breaks_after = 150
    with pytest.raises(TransientError):
        download_part(store, corpus(), listed(server.url))
    assert store.list("raw") == {}
    server.breaks_after = None
    receipt = download_part(store, corpus(), listed(server.url))
    assert [member.name for member in RawFiles(store, [receipt], None).members()] == sorted(TRAIN)


def test_the_published_digest_is_verified(store: Store, mirror: Path) -> None:
    data = PACKED["train.tar.gz"]
    settings = CorpusSettings(mirror=str(mirror))
    for digests in ({"sha256": "0" * 64}, {"md5": "0" * 32}):
        with pytest.raises(IntegrityError, match=r"train\.tar\.gz"):
            download_part(store, corpus(**digests), settings)
    assert store.list("") == {}
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    genuine = corpus(md5=md5)
    recorded = download_part(store, genuine, settings).recorded
    assert recorded["md5"] == md5


def test_a_file_without_a_published_digest_keeps_that_of_the_first_download(
    store: Store, mirror: Path
) -> None:
    settings = CorpusSettings(mirror=str(mirror))
    receipt = download_part(store, corpus(), settings)
    (mirror / "train.tar.gz").write_bytes(tar_gz(TEST))
    assert download_part(store, corpus(), settings) == receipt


def test_a_manual_file_is_reported_with_instructions(store: Store) -> None:
    sources = (Archive(url="https://example.invalid/a.tar.gz", by_hand="ask its owner"),)
    with pytest.raises(UserError, match=r"a\.tar\.gz .* ask its owner.*corpora\.corpus\.mirror"):
        download_part(store, corpus(sources=sources), CorpusSettings())


@pytest.mark.parametrize("line", ["{}  {}", "{} *{}", "{}  ./{}", "{} {}"])
@pytest.mark.parametrize("is_upper", [False, True])
def test_checksum_files_of_common_tools_are_read(
    store: Store, mirror: Path, line: str, is_upper: bool
) -> None:
    sha256 = hashlib.sha256(PACKED["train.tar.gz"]).hexdigest()
    text = line.format(sha256.upper() if is_upper else sha256, "train.tar.gz")
    (mirror / "SHA256SUMS").write_text(f"{'0' * 64}  other-train.tar.gz\n\n{text}\n")
    download_part(store, corpus(), listed(mirror))


@pytest.mark.parametrize("text", [b"", b"0000  other.tar.gz\n", b"\xff\xfe\x00", b"<html>"])
def test_a_file_missing_in_the_checksums_is_a_user_error(
    store: Store, mirror: Path, text: bytes
) -> None:
    (mirror / "SHA256SUMS").write_bytes(text)
    with pytest.raises(UserError, match=r"SHA256SUMS does not list train\.tar\.gz"):
        download_part(store, corpus(), listed(mirror))
    (mirror / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match="SHA256SUMS does not exist"):
        download_part(store, corpus(), listed(mirror))


def test_an_invalid_archive_is_a_terminal_error_and_leaves_nothing(
    store: Store, mirror: Path
) -> None:
    (mirror / "train.tar.gz").write_bytes(b"not gzip")
    (mirror / "SHA256SUMS").write_bytes(sha256sums({"train.tar.gz": b"not gzip"}))
    with pytest.raises(ShardError, match=r"train\.tar\.gz"):
        download_part(store, corpus(), listed(mirror))
    assert store.list("") == {}
    assert store.unfinished() == {}


@pytest.mark.parametrize(
    ("splits", "names"),
    [
        (None, {0: "train.tar.gz", 1: "test.tar.gz", 2: "words.tsv"}),
        (("test",), {1: "test.tar.gz", 2: "words.tsv"}),
        (("train",), {0: "train.tar.gz", 2: "words.tsv"}),
    ],
)
def test_only_the_files_of_the_chosen_splits_are_needed(
    store: Store, splits: tuple[str, ...] | None, names: dict[int, str]
) -> None:
    wanted = Downloads.load(store, corpus(), CorpusSettings(splits=splits)).parts
    assert {key.index: one.name for key, one in wanted.items()} == names


def test_the_splits_are_those_chosen_in_the_corpus_order() -> None:
    assert chosen_splits(corpus(), CorpusSettings(splits=("test", "train"))) == ("train", "test")
    with pytest.raises(UserError, match="no split 'dev'; there are train, test"):
        chosen_splits(corpus(), CorpusSettings(splits=("dev",)))


def test_a_member_knows_where_it_lies(store: Store, mirror: Path) -> None:
    receipt: Receipt = download_part(store, corpus(), listed(mirror))
    [member] = RawFiles(store, [receipt], None).members("train/b.txt")
    assert member == Member(receipt.output.path, "train/b.txt", member.offset, 6)


def test_a_hub_data_set_shows_its_files_once_it_is_listed(store: Store, mirror: Path) -> None:
    files = {"train-1.bin": b"one", "train-0.bin": b"zero", "read.txt": b"me", "other.bin": b"no"}
    for name, data in files.items():
        (mirror / name).write_bytes(data)
    (mirror / "SHA256SUMS").write_bytes(sha256sums(files))
    hub, settings = corpus(sources=(HUB,)), listed(mirror)
    assert list(Downloads.load(store, hub, settings).parts) == [FIRST]
    download_part(store, hub, settings)
    parts = Downloads.load(store, hub, settings).parts
    assert {key.index: (one.name, one.splits) for key, one in parts.items()} == {
        0: ("listing.json", ()),
        1: ("read.txt", ()),
        2: ("train-0.bin", ("train",)),
        3: ("train-1.bin", ("train",)),
    }
    raw = RawFiles(store, download_all(store, hub, settings), None)
    assert {member.name: raw.read(member) for member in raw.members()} == {
        name: data for name, data in files.items() if name != "other.bin"
    }


def test_a_hub_data_set_with_another_layout_is_reported(store: Store, mirror: Path) -> None:
    with pytest.raises(UserError, match=r"owner/set at mirror has no file train-\*\.bin"):
        download_part(store, corpus(sources=(HUB,)), listed(mirror))


@pytest.fixture
def discs(tmp_path: Path) -> Path:
    """A delivery at some depth below a folder."""
    for name, data in {"d1/audio/a.sph": b"first", "d2/audio/b.sph": b"next", "x.txt": b""}.items():
        (tmp_path / "discs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "discs" / name).write_bytes(data)
    (tmp_path / "discs" / "d1" / "manual.pdf").write_bytes(b"not asked for")
    return tmp_path / "discs"


@everywhere
def test_a_delivery_is_hashed_in_place(store: Store, discs: Path) -> None:
    settings, delivered = CorpusSettings(mirror=str(discs)), corpus(sources=(DISCS,))
    [receipt] = download_all(store, delivered, settings)
    assert receipt.counts == Counts(rows_in=3, rows_out=3)
    assert len(store.list("")) == 2
    raw = RawFiles(store, [receipt], str(discs))
    assert {member.name: raw.read(member) for member in raw.members()} == {
        "d1/audio/a.sph": b"first",
        "d2/audio/b.sph": b"next",
        "x.txt": b"",
    }
    assert raw.digests["mirror:d1/audio/a.sph"] == hashlib.sha256(b"first").hexdigest()
    with raw.open(next(iter(raw.members("b.sph")))) as opened:
        opened.seek(1)
        assert opened.read() == b"ext"


def test_a_changed_delivery_is_hashed_again_but_not_an_unreachable_one(
    store: Store, discs: Path
) -> None:
    settings, delivered = CorpusSettings(mirror=str(discs)), corpus(sources=(DISCS,))
    [before] = download_all(store, delivered, settings)
    (discs / "d3/audio").mkdir(parents=True)
    (discs / "d3/audio/c.sph").write_bytes(b"last")
    assert list(Downloads.load(store, delivered, settings).missing()) == [FIRST]
    [after] = download_all(store, delivered, settings)
    assert (before.output.num_rows, after.output.num_rows) == (3, 4)
    discs.rename(discs.with_name("unplugged"))
    assert Downloads.load(store, delivered, settings).missing() == {}


@pytest.mark.parametrize("is_named", [False, True])
def test_a_missing_delivery_is_reported_with_instructions(
    store: Store, tmp_path: Path, is_named: bool
) -> None:
    settings = CorpusSettings(mirror=str(tmp_path / "nothing") if is_named else None)
    with pytest.raises(UserError, match=r"LDC0000S00 \(Two Discs\).*order it at its distributor"):
        download_part(store, corpus(sources=(DISCS,)), settings)


def test_deliveries_in_without_are_skipped(store: Store, discs: Path) -> None:
    sources = (DISCS, replace(DISCS, name="LDC0000S01", files=("*.ogg",)))
    settings = CorpusSettings(mirror=str(discs), without=("LDC0000S01",))
    assert len(download_all(store, corpus(sources=sources), settings)) == 1
