"""Archives are indexed, never extracted; damaged and hostile ones are handled."""

import gzip
import io
import random
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir

import pyarrow as pa
import pytest

from storage.errors import ShardError
from storage.sink import HashingSink
from tasks.download.archive import stored_name, unpack
from tasks.download.schema import BLOCK_BYTES, INDEX, WHOLE_BYTES
from tests.builders import flac, noise, sine, special, sphere, tar, tar_gz

ESCAPED = f"{gettempdir()}/escaped-distillery-test.txt"

FILES = {
    "LibriSpeech/README.TXT": b"read me",
    "LibriSpeech/dev-clean/1/2/1-2-0000.flac": flac(noise(24_000)),
    "LibriSpeech/dev-clean/1/2/1-2.trans.txt": b"1-2-0000 A LAMP\n",
    "LibriSpeech/dev-clean/empty.txt": b"",
}


def stored(folder: Path, name: str, data: bytes, **bound: float) -> tuple[bytes, pa.Table]:
    """The stored form of a distributed file, and its index."""
    source, kept = folder / name, folder / "kept"
    source.write_bytes(data)
    sink = HashingSink(kept)
    try:
        table = unpack(source, name, sink, **bound)
    finally:
        sink.close()
    return kept.read_bytes(), table


def members(data: bytes, table: pa.Table) -> dict[str, bytes]:
    """Every member of the index with its bytes, which match its digest."""
    assert table.schema == INDEX
    found = {
        row["name"]: data[row["offset"] : row["offset"] + row["size"]] for row in table.to_pylist()
    }
    digests = dict(zip(table["name"].to_pylist(), table["sha256"].to_pylist(), strict=True))
    assert digests == {name: sha256(data).hexdigest() for name, data in found.items()}
    return found


@pytest.mark.parametrize(
    ("name", "pack"), [("x.tar.gz", tar_gz), ("x.tgz", tar_gz), ("x.tar", tar)]
)
def test_every_file_of_an_archive_is_indexed(
    tmp_path: Path, name: str, pack: Callable[..., bytes]
) -> None:
    data, table = stored(tmp_path, name, pack(FILES))
    assert members(data, table) == FILES
    assert table.column("name").to_pylist() == sorted(FILES)


def test_a_compressed_archive_is_stored_uncompressed(tmp_path: Path) -> None:
    assert stored(tmp_path, "x.tar.gz", tar_gz(FILES))[0] == tar(FILES)
    assert stored_name("x.tar.gz") == stored_name("x.tgz") == stored_name("x.tar") == "x.tar"


def test_an_archive_of_several_gzip_members_is_read_completely(tmp_path: Path) -> None:
    data = tar(FILES)
    parts = gzip.compress(data[:5000]) + gzip.compress(data[5000:])
    assert stored(tmp_path, "x.tar.gz", parts)[0] == data


def test_long_names_are_kept(tmp_path: Path) -> None:
    files = {f"{'deep/' * 60}ümlaut {'long' * 50}.txt": b"x"}
    assert members(*stored(tmp_path, "x.tar", tar(files))) == files


@pytest.mark.parametrize("name", ["train.tsv", "train-00000.parquet", "metadata.json"])
def test_a_plain_file_is_its_own_member(tmp_path: Path, name: str) -> None:
    assert members(*stored(tmp_path, name, b"a\tb\n")) == {name: b"a\tb\n"}


def test_a_leading_dot_is_not_part_of_a_name(tmp_path: Path) -> None:
    assert members(*stored(tmp_path, "x.tar", tar({"./a/./b.txt": b"x"}))) == {"a/b.txt": b"x"}


def test_the_last_of_two_members_with_one_name_counts(tmp_path: Path) -> None:
    twice = tar({"a": b"old"})[:1024] + tar({"a": b"new"})
    assert members(*stored(tmp_path, "x.tar", twice)) == {"a": b"new"}


def test_an_empty_archive_has_no_members(tmp_path: Path) -> None:
    assert members(*stored(tmp_path, "x.tar", tar({}))) == {}


def test_links_are_resolved_inside_the_archive(tmp_path: Path) -> None:
    links = [
        special("legacy/same.sph", tarfile.SYMTYPE, "../data/a.sph"),
        special("legacy/hard.sph", tarfile.LNKTYPE, "data/a.sph"),
        special("chain.sph", tarfile.SYMTYPE, "legacy/same.sph"),
    ]
    archive = tar({"data/a.sph": b"audio", "z": b"z"}, links[::-1])
    found = members(*stored(tmp_path, "x.tar", archive))
    assert {name for name, data in found.items() if data == b"audio"} == {
        "data/a.sph",
        "legacy/same.sph",
        "legacy/hard.sph",
        "chain.sph",
    }


def test_dangling_and_outside_links_are_not_members(tmp_path: Path) -> None:
    links = [
        special("out.txt", tarfile.SYMTYPE, "../../etc/passwd"),
        special("absolute.txt", tarfile.SYMTYPE, "/etc/passwd"),
        special("hard.txt", tarfile.LNKTYPE, "/etc/passwd"),
        special("nowhere.txt", tarfile.SYMTYPE, "missing.txt"),
        special("self.txt", tarfile.SYMTYPE, "self.txt"),
        special("ring-a.txt", tarfile.SYMTYPE, "ring-b.txt"),
        special("ring-b.txt", tarfile.SYMTYPE, "ring-a.txt"),
        special("folder", tarfile.SYMTYPE, "data"),
    ]
    archive = tar({"data/a.txt": b"a"}, links)
    assert set(members(*stored(tmp_path, "x.tar", archive))) == {"data/a.txt"}


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[Path]:
    """A folder surrounded by others; only `x.tar` and `kept` may change."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    yield inner
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert written == {"a", "a/b", "a/b/x.tar", "a/b/kept"}


def test_outside_names_are_not_members_and_nothing_is_written(surroundings: Path) -> None:
    hostile = {
        "../escaped.txt": b"x",
        f"../../..{ESCAPED}": b"x",
        ESCAPED: b"x",
        "good/../../escaped.txt": b"x",
        "..": b"x",
        "good/..hidden": b"kept",
    }
    assert members(*stored(surroundings, "x.tar", tar(hostile))) == {"good/..hidden": b"kept"}
    assert not Path(ESCAPED).exists()


def test_devices_are_not_members_and_not_created(surroundings: Path) -> None:
    kinds = (tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.DIRTYPE)
    specials = [special(f"special-{kind.decode()}", kind) for kind in kinds]
    archive = tar({"good.txt": b"x"}, specials)
    assert members(*stored(surroundings, "x.tar", archive)) == {"good.txt": b"x"}


@pytest.mark.parametrize("cut", [10, 1000, -1, -9])
def test_a_truncated_gzip_file_is_refused(tmp_path: Path, cut: int) -> None:
    refused(tmp_path, "x.tar.gz", tar_gz(FILES)[:cut])


@pytest.mark.parametrize("damage", [b"not gzip at all", tar(FILES), b""])
def test_a_file_that_is_not_gzip_is_refused(tmp_path: Path, damage: bytes) -> None:
    refused(tmp_path, "x.tar.gz", damage)


def test_a_damaged_gzip_file_is_refused(tmp_path: Path) -> None:
    data = bytearray(tar_gz(FILES))
    data[len(data) // 2] ^= 0xFF
    refused(tmp_path, "x.tar.gz", bytes(data))


@pytest.mark.parametrize("num_bytes", [0, 100, 512, 700, 1024, 1024 + 700, 10_000])
def test_a_truncated_tar_archive_is_refused(tmp_path: Path, num_bytes: int) -> None:
    refused(tmp_path, "x.tar", tar(FILES)[:num_bytes])


@pytest.mark.parametrize(
    "damage", [b"not a tar archive", b"x" * 2048, gzip.compress(b"x", mtime=0)]
)
def test_a_file_that_is_not_tar_is_refused(tmp_path: Path, damage: bytes) -> None:
    refused(tmp_path, "x.tar", damage)


def test_a_damaged_header_in_the_middle_is_refused(tmp_path: Path) -> None:
    data = bytearray(tar({"a": b"x", "b": b"y"}))
    data[1024 + 148] ^= 0xFF  # the checksum of the second header
    refused(tmp_path, "x.tar", bytes(data))


def test_a_negative_size_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("a")
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 11 + b"\x00"  # -256 in base 256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    refused(tmp_path, "x.tar", bytes(header) + tar({"b": b"x"}))


def refused(folder: Path, name: str, data: bytes) -> None:
    with pytest.raises(ShardError, match=name) as raised:
        stored(folder, name, data)
    assert len(str(raised.value).splitlines()) == 1


def test_the_duration_of_flac_is_known_and_of_others_is_not(tmp_path: Path) -> None:
    untold = bytearray(flac(noise(1000)))
    untold[21] &= 0xF0
    untold[22:26] = bytes(4)  # the number of samples: unknown
    files = {
        "long.flac": flac(noise(160_000)),
        "short.flac": flac(sine(0.25)),
        "untold.flac": bytes(untold),
        "torn.flac": b"fLaC and then nothing",
        "talk.sph": sphere(noise(16_000)),
    }
    _, table = stored(tmp_path, "x.tar", tar(files))
    durations = dict(
        zip(*(table.column(c).to_pylist() for c in ("name", "duration_s")), strict=True)
    )
    assert durations == {
        "long.flac": 10.0,
        "short.flac": 0.25,
        "untold.flac": None,
        "torn.flac": None,
        "talk.sph": None,
    }


def bomb(name: str) -> bytes:
    """200 MiB of zeros, a thousand times smaller."""
    member = tarfile.TarInfo("zeros.wav")
    member.size = 200 << 20
    if name.endswith(".zip"):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("zeros.wav", bytes(200 << 20))
        return file.getvalue()
    pack = zlib.compressobj(wbits=31)
    head = member.tobuf() if name.endswith(".tar.gz") else b""
    return b"".join(
        [
            pack.compress(head),
            *(pack.compress(bytes(1 << 20)) for _ in range(200)),
            pack.compress(bytes(1024)),
            pack.flush(),
        ]
    )


@pytest.mark.parametrize("name", ["x.tar.gz", "x.tsv.gz", "x.zip"])
def test_an_archive_that_expands_too_much_is_refused_before_the_disk_fills(
    tmp_path: Path, name: str
) -> None:
    data = bomb(name)
    with pytest.raises(ShardError, match=rf"{name} expands to over 100 times its") as raised:
        stored(tmp_path, name, data)
    assert len(str(raised.value).splitlines()) == 1
    assert "runtime.max_expansion" in str(raised.value)
    assert (tmp_path / "kept").stat().st_size <= 64 << 20


def test_the_bound_on_expansion_can_be_raised(tmp_path: Path) -> None:
    name = "x.tar.gz"
    data, table = stored(tmp_path, name, bomb(name), max_expansion=2000)
    assert table["size"].to_pylist() == [200 << 20]
    assert len(data) == (200 << 20) + 1536


def test_a_small_file_may_expand_as_much_as_it_likes(tmp_path: Path) -> None:
    text = b"the same line again\n" * 50_000
    packed = gzip.compress(text, mtime=0)
    assert len(text) > 100 * len(packed)
    assert members(*stored(tmp_path, "x.tsv.gz", packed)) == {"x.tsv": text}


@pytest.mark.parametrize("size", [8 << 30, 1 << 62])
def test_a_header_of_any_claimed_size_takes_no_memory(tmp_path: Path, size: int) -> None:
    header = tarfile.TarInfo("a")
    header.type, header.size = tarfile.XHDTYPE, size
    data = header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)
    refused(tmp_path, "x.tar", data + tar({"b": b"x"}))


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_SPARSE])
def test_a_member_of_any_claimed_size_is_refused(tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("a")
    header.type, header.size = kind, 1 << 62
    refused(tmp_path, "x.tar", header.tobuf(tarfile.GNU_FORMAT) + tar({"b": b"x"}))


def test_a_name_that_is_not_utf_8_is_kept_readable(tmp_path: Path) -> None:
    data = tar({"caf\udce9.txt": b"x"})
    assert members(*stored(tmp_path, "x.tar", data)) == {"caf\N{REPLACEMENT CHARACTER}.txt": b"x"}


def test_a_zip_is_stored_as_a_tar_with_digests(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("LibriSpeech")
        for name, content in {**FILES, "../outside.txt": b"x"}.items():
            archive.writestr(name, content)
    data, table = stored(tmp_path, "x.zip", file.getvalue())
    assert members(data, table) == FILES
    with tarfile.open(fileobj=io.BytesIO(data)) as kept:
        positions = {one.name: (one.offset_data, one.size) for one in kept}
    for row in table.to_pylist():
        assert positions[row["name"]] == (row["offset"], row["size"])


@pytest.mark.parametrize("size", [WHOLE_BYTES, WHOLE_BYTES + 1, 18 * BLOCK_BYTES + 5])
@pytest.mark.parametrize("name", ["x.tar", "x.parquet"])
def test_a_large_member_has_the_digests_of_its_blocks(tmp_path: Path, name: str, size: int) -> None:
    content = random.Random(size).randbytes(size)
    _, table = stored(tmp_path, name, tar({"a": content}) if name == "x.tar" else content)
    starts = range(0, size, BLOCK_BYTES) if size > WHOLE_BYTES else ()
    digests = [sha256(content[start : start + BLOCK_BYTES]).digest() for start in starts]
    [row] = table.to_pylist()
    assert row["blocks"] == (b"".join(digests) or None)
    assert row["sha256"] == sha256(content).hexdigest()
