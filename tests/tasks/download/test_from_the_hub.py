"""A data set of the Hub is listed, downloaded, planned and normalised."""

import io
from collections.abc import Iterable
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.schema import CorpusSettings, Normalise
from storage.errors import UserError
from storage.receipt import PlannedShard, Receipt
from storage.shard import ShardKey
from storage.store import Store
from tasks.corpora.base import Corpus
from tasks.corpora.registry import corpus_named
from tasks.corpora.sources import HubFiles
from tasks.download.files import Files, RawFiles
from tasks.download.parts import Downloads
from tasks.download.raw import download
from tasks.normalise.shard import normalise_shard
from tasks.plan.shard import plan_part
from tests.builders import flac, noise
from tests.hub_server import MEMBER, HubServer

REPO = "MLCommons/peoples_speech"
NUM_FILES, ROWS_A_FILE, SECONDS = 3, 5, 2


def parquet(number: int) -> bytes:
    """A file of the People's Speech: five rows in row groups of two."""
    rows = [
        {
            "id": f"talk_{number}_SLASH_talk_{number}_DOT_mp3_{row:05d}.flac",
            "audio": {
                "bytes": flac(noise(16_000 * SECONDS, seed=10 * number + row)),
                "path": "x.flac",
            },
            "duration_ms": 1000 * SECONDS,
            "text": f"text {number} {row}",
        }
        for row in range(ROWS_A_FILE)
    ]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=2)
    return file.getvalue()


@pytest.fixture
def repo(hub: HubServer) -> HubServer:
    files = {f"clean/train-{n:05d}-of-00003.parquet": parquet(n) for n in range(NUM_FILES)}
    hub.repos[REPO] = files | {"README.md": b"about", "dirty/train-00000-of-00001.parquet": b"?"}
    return hub


@pytest.fixture
def corpus() -> Corpus:
    return corpus_named("peoples_speech", "hub")


def download_part(store: Store, corpus: Corpus, settings: CorpusSettings) -> Downloads:
    while pending := Downloads.load(store, corpus, settings).missing():
        for part in pending.values():
            download(store, corpus, settings, part)
    return Downloads.load(store, corpus, settings)


def planned(
    store: Store, corpus: Corpus, archives: Iterable[Receipt], known: set[str], first_shard: int
) -> tuple[list[PlannedShard], list[pa.Table]]:
    raw = RawFiles(store, list(archives), None)
    part = plan_part(
        corpus.read(raw),
        split="train",
        known_ids=known,
        first_shard=first_shard,
        target_shard_hours=6.0 / 3600,
        file_digests=raw.digests,
        self_contained=corpus.self_contained,
    )
    return list(part.shards), [pa.Table.from_batches([batch]) for batch in part.outcomes]


TRAIN = CorpusSettings(splits=("train",))


def test_a_data_set_becomes_utterances(store: Store, repo: HubServer, corpus: Corpus) -> None:
    downloads = download_part(store, corpus, TRAIN)
    _, tables = planned(store, corpus, downloads.receipts.values(), set(), 0)
    files = Files(store, None, downloads.receipts.values())
    key = ShardKey("peoples_speech", "train", 0)
    rows = [
        row
        for table in tables
        for batch in normalise_shard(table, files.audio, key, Normalise())
        for row in batch.to_pylist()
    ]
    assert [row["raw_text"] for row in rows] == [
        f"text {file} {row}" for file in range(NUM_FILES) for row in range(ROWS_A_FILE)
    ]
    assert [row["audio"]["bytes"] for row in rows] == [
        flac(noise(16_000 * SECONDS, seed=10 * file + row))
        for file in range(NUM_FILES)
        for row in range(ROWS_A_FILE)
    ]


def test_a_pilot_downloads_few_files_and_its_shards_are_reused(
    store: Store, repo: HubServer, corpus: Corpus
) -> None:
    pilot = download_part(store, corpus, TRAIN.model_copy(update={"limit_hours": 0.0001}))
    assert len(pilot.parts) == 2  # the listing and one file
    first, tables = planned(store, corpus, pilot.receipts.values(), set(), 0)
    known = {row_id for table in tables for row_id in table.column("id").to_pylist()}
    downloads = download_part(store, corpus, TRAIN)
    new = [receipt for key, receipt in downloads.receipts.items() if key not in pilot.receipts]
    later, _ = planned(store, corpus, new, known, len(first))
    whole, _ = planned(store, corpus, downloads.receipts.values(), set(), 0)
    assert first + later == whole
    requested = [one.path for one in repo.requests if "train-00000-of-00003" in one.path]
    assert len([path for path in requested if path.startswith("/datasets")]) == 1


def test_an_interrupted_download_ends_with_the_same_receipts(
    store: Store, repo: HubServer, corpus: Corpus
) -> None:
    repo.breaks = [5_000, 0, 1, 90_000] * 3  # bytes of the next bodies, before the connection goes
    broken = download_part(store, corpus, TRAIN).receipts
    for receipt in broken.values():
        for file in (receipt.output, *receipt.beside):
            with store.fetch(file):
                continue
    digests = {key: receipt.output.sha256 for key, receipt in broken.items()}
    for path in list(store.list("raw")):
        store.delete(path)
    whole = download_part(store, corpus, TRAIN).receipts
    assert {key: receipt.output.sha256 for key, receipt in whole.items()} == digests


def test_a_gated_data_set_needs_accepted_terms(
    store: Store, repo: HubServer, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.gated.add(REPO)
    source = corpus.sources[-1]
    assert isinstance(source, HubFiles)
    gated = replace(corpus, sources=(replace(source, gated=True),))
    with pytest.raises(UserError, match=rf"{REPO} is gated.*HF_TOKEN"):
        download_part(store, gated, TRAIN)
    monkeypatch.setenv("HF_TOKEN", MEMBER)
    assert not download_part(store, gated, TRAIN).missing()
    assert MEMBER.encode() not in b"".join(store.read(path) for path in store.list("raw"))
