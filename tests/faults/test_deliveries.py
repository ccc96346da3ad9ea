"""A thousand damaged deliveries: each is reported or quarantined; nothing is written elsewhere."""

import gzip
import hashlib
import io
import random
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from configs.schema import CorpusSettings, Normalise
from storage.errors import DistilleryError
from storage.outcome import Rejected
from storage.schema import row_ids
from storage.shard import ShardKey
from storage.store import Store
from tasks.corpora.registry import corpus_named
from tasks.demo.corpora.write import write_corpora
from tasks.download.files import Files, RawFiles
from tasks.download.parts import Downloads
from tasks.download.raw import download
from tasks.normalise.shard import normalise_shard
from tasks.plan.shard import plan_part
from tests.faults.archives import ESCAPED
from tests.faults.mutations import DAMAGES

FORMS = {
    "peoples_speech": "hub",
    "gigaspeech": "release",
    "common_voice": None,
    "librispeech": None,
    "voxpopuli": None,
    "tedlium": None,
    "fisher": None,
    "switchboard": None,
    "ami": "release",
}
NUM_MUTATIONS = 112  # of each of the nine: more than a thousand in all
NUM_FIRST = 12  # of these in every test run
ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")


@pytest.fixture(scope="module")
def mirrors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small versions of all nine corpora as distributed."""
    return write_corpora(tmp_path_factory.mktemp("mirrors"), list(FORMS), 3, 12, 3)


def with_hostile_members(name: str, data: bytes, chance: random.Random) -> bytes:
    """The archive with members or links outside of it."""
    target = chance.choice(("../../escaped", ESCAPED, "a/../../../escaped", "//escaped"))
    if name.endswith(".zip"):
        buffer = io.BytesIO(data)
        with zipfile.ZipFile(buffer, "a") as archive:
            archive.writestr(target, "hostile")
        return buffer.getvalue()
    plain = data if name.endswith(".tar") else gzip.decompress(data)
    buffer = io.BytesIO(plain)
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        member = tarfile.TarInfo(target)
        member.type = chance.choice((tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE))
        member.linkname = chance.choice(("/etc/passwd", "../../../etc/passwd"))
        tar.addfile(member)
    return buffer.getvalue() if name.endswith(".tar") else gzip.compress(buffer.getvalue(), 1)


def with_a_damaged_member(name: str, data: bytes, chance: random.Random) -> bytes:
    """The archive with one damaged file; the archive itself is valid."""
    plain = data if name.endswith(".tar") else gzip.decompress(data)
    source, target = io.BytesIO(plain), io.BytesIO()
    with tarfile.open(fileobj=source) as old, tarfile.open(fileobj=target, mode="w") as new:
        members = [member for member in old if member.isfile()]
        chosen = chance.randrange(len(members))
        for number, member in enumerate(members):
            opened = old.extractfile(member)
            assert opened is not None
            content = opened.read()
            if number == chosen and content:
                content = chance.choice(DAMAGES)(content, chance)
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    return target.getvalue() if name.endswith(".tar") else gzip.compress(target.getvalue(), 1)


def damaged(name: str, data: bytes, chance: random.Random) -> bytes:
    """A file damaged by a disk, a network or an attacker."""
    is_tar = name.endswith(ARCHIVES) and not name.endswith(".zip")
    kind = chance.random()
    if name.endswith(ARCHIVES) and kind < 0.2:
        return with_hostile_members(name, data, chance)
    if is_tar and kind < 0.8:
        return with_a_damaged_member(name, data, chance)
    if name.endswith(".tsv.gz") and kind < 0.8:
        return gzip.compress(chance.choice(DAMAGES)(gzip.decompress(data), chance))
    return chance.choice(DAMAGES)(data, chance)


def files_of(mirror: Path) -> list[str]:
    names = (path.relative_to(mirror).as_posix() for path in sorted(mirror.rglob("*")))
    known = {"SHA256SUMS", "complete.json"}
    return [name for name in names if name not in known and (mirror / name).is_file()]


def copy_with_damage(mirror: Path, target: Path, chance: random.Random) -> str:
    """A copy of the mirror with one damaged file and matching checksums."""
    shutil.copytree(mirror, target, copy_function=lambda old, new: Path(new).hardlink_to(old))
    # what is large is most of the delivery, what is small is most of the code
    name = chance.choice([one for one in files_of(mirror) if (mirror / one).stat().st_size])
    data = damaged(name, (mirror / name).read_bytes(), chance)
    (target / name).unlink()
    (target / name).write_bytes(data)
    sums = (mirror / "SHA256SUMS").read_text().splitlines()
    sha256 = hashlib.sha256(data).hexdigest()
    lines = [f"{sha256}  {name}" if line.endswith(f"  {name}") else line for line in sums]
    (target / "SHA256SUMS").unlink()
    (target / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    return name


def go_through(store: Store, name: str, mirror: Path) -> Iterator[tuple[int, int]]:
    """Download, plan and normalise a corpus; yields the rows in and out of each shard."""
    corpus = corpus_named(name, FORMS[name])
    settings = CorpusSettings(mirror=str(mirror), checksums="sha256sums")
    splits = [split for split in corpus.splits if "360" not in split and "other" not in split]
    settings = settings.model_copy(update={"splits": tuple(splits)})
    while pending := Downloads.load(store, corpus, settings).missing():
        for part in pending.values():
            download(store, corpus, settings, part)
    receipts = list(Downloads.load(store, corpus, settings).receipts.values())
    raw, files = RawFiles(store, receipts, str(mirror)), Files(store, str(mirror), receipts)
    items = list(corpus.read(raw))
    for split in splits:
        part = plan_part(
            items,
            split=split,
            known_ids=(),
            first_shard=0,
            target_shard_hours=1,
            file_digests=raw.digests,
        )
        for batch in part.outcomes:
            if isinstance(batch, pa.RecordBatch):
                key = ShardKey(name, split, 0)
                segments = pa.Table.from_batches([batch])
                outcomes = normalise_shard(segments, files.audio, key, Normalise())
                ids = [i for out in outcomes for i in ids_of(out)]
                yield batch.num_rows, len(ids)


def ids_of(outcome: object) -> list[str]:
    if isinstance(outcome, Rejected):
        return [outcome.id]
    assert isinstance(outcome, pa.RecordBatch)
    return row_ids(outcome)


@pytest.mark.parametrize(
    "seeds",
    [
        range(NUM_FIRST),
        pytest.param(range(NUM_FIRST, NUM_MUTATIONS), marks=pytest.mark.slow),
    ],
    ids=["first", "rest"],
)
@pytest.mark.parametrize("name", FORMS)
def test_damage_is_quarantined_or_a_one_line_error(
    mirrors: dict[str, Path], tmp_path: Path, name: str, seeds: range
) -> None:
    told = whole = 0
    for seed in seeds:
        folder = tmp_path / str(seed)
        chance = random.Random(f"{name} {seed}")
        file = copy_with_damage(mirrors[name], folder / "mirror", chance)
        message = f"{name}, seed {seed}, {file}"
        store = Store(str(folder / "root"))
        try:
            for rows_in, rows_out in go_through(store, name, folder / "mirror"):
                assert rows_in == rows_out, message
        except DistilleryError as error:
            lines = str(error).strip().splitlines()
            told += 1
        else:
            lines, whole = ["nothing to tell"], whole + 1
        assert len(lines) == 1, message
        assert {path.name for path in folder.iterdir()} <= {"mirror", "root"}, message
        shutil.rmtree(folder)
    assert told + whole == len(seeds)
    assert whole
    assert [path for path in tmp_path.parent.iterdir() if "escaped" in path.name] == []
    assert not Path(ESCAPED).exists()
