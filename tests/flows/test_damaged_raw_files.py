"""Damaged raw files fail their shards by name, and the same bytes again lead to the same digests.

Four kinds of distribution: a recording and a FLAC member in an archive, Parquet of the Hub, files
of a delivery. Without Prefect; the last test goes through the commands.
"""

import hashlib
import io
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState
from flows.state.frontier import Frontier
from flows.state.mending import mend
from flows.state.repair import producer_of
from storage.errors import IntegrityError
from storage.manifest import Content, Manifest, ManifestEntry
from storage.receipt import FileRef, Receipt
from storage.store import Store
from tasks.corpora.registry import corpus_of_run
from tasks.download import files as checked_files
from tasks.download.digests import INDEX_NAME
from tasks.download.ranges import CheckedOnce
from tasks.download.raw import download
from tasks.download.schema import INDEX
from tasks.download.verification import raw_files, verify_raw
from tasks.work import run_job, run_plan
from tests.builders import encoded, flac, noise, sphere, tar_gz
from tests.flows.running import TEACHER, Run, copied

TALK = sphere(noise(16_000 * 5, seed=2))
STM = b"AlGore_2009 1 AlGore_2009 0.50 2.00 <F0_M> thank you\n"
LINES = b"1-2-0000 A LAMP\n1-2-0001 A LAMP OF OLD\n"
VOICES = [flac(noise(24_000, seed=seed)) for seed in (3, 4)]
WAVS = [encoded(noise(24_000, seed=seed), "WAV", "PCM_16") for seed in (5, 6)]


def parquet(*seeds: int) -> bytes:
    rows = [
        {
            "id": f"talk_{seed}.flac",
            "audio": {"bytes": flac(noise(32_000, seed=seed)), "path": "x.flac"},
            "duration_ms": 2000,
            "text": f"text {seed}",
        }
        for seed in seeds
    ]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=1)
    return file.getvalue()


@dataclass(frozen=True)
class Corpus:
    """The files of a small corpus, and the bytes to damage in which of its stored files."""

    settings: Mapping[str, Any]
    files: Mapping[str, bytes]
    stored: str
    part: bytes


CORPORA = {
    "tedlium": Corpus(
        {"splits": ["dev"]},
        {
            "TEDLIUM_release-3.tgz": tar_gz(
                {
                    "TEDLIUM_release-3/legacy/dev/sph/AlGore_2009.sph": TALK,
                    "TEDLIUM_release-3/legacy/dev/stm/AlGore_2009.stm": STM,
                }
            )
        },
        "*.TEDLIUM_release-3.tar",
        TALK,
    ),
    "librispeech": Corpus(
        {"splits": ["dev-clean"]},
        {
            "dev-clean.tar.gz": tar_gz(
                {
                    "LibriSpeech/dev-clean/1/2/1-2.trans.txt": LINES,
                    "LibriSpeech/dev-clean/1/2/1-2-0000.flac": VOICES[0],
                    "LibriSpeech/dev-clean/1/2/1-2-0001.flac": VOICES[1],
                }
            )
        },
        "*.dev-clean.tar",
        VOICES[1],
    ),
    "peoples_speech": Corpus(
        {"form": "hub", "splits": ["train"]},
        {
            "clean/train-00000-of-00002.parquet": parquet(7, 8),
            "clean/train-00001-of-00002.parquet": parquet(9),
        },
        "*.train-00000-of-00002.parquet",
        flac(noise(32_000, seed=8)),
    ),
}


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    lines = []
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        lines.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
    (folder / "SHA256SUMS").write_text("".join(lines))


def configured(folder: Path, name: str, settings: Mapping[str, Any]) -> RunConfig:
    corpus = {"mirror": str(folder / "mirror"), **settings}
    return RunConfig.model_validate(
        {
            "root": str(folder / "root"),
            "corpora": {name: corpus},
            "label": {"teacher": {"path": str(TEACHER)}},
            "publish": {"name": "raw"},
            "runtime": {"max_quarantined_percent": 0},
        }
    )


def advance(config: RunConfig) -> dict[str, tuple[str, str]]:
    """Download, plan and normalise what is pending; the digests of each normalised shard."""
    store, (name,) = Store(config.root), config.corpora
    while missing := CorpusState.open(config, name).downloads.missing():
        for part in missing.values():
            download(store, corpus_of_run(config, name), config.corpora[name], part)
    state = CorpusState.open(config, name)
    for key, archives in state.unplanned_splits().items():
        run_plan(config, state.place("plan", key), archives)
    state = CorpusState.open(config, name)
    for shard in state.pending("normalise"):
        run_job(config, state.job(shard, "normalise"))
    return {
        str(shard.key): (shard.planned.digest, shard.receipts["normalise"].output.sha256)
        for shard in CorpusState.open(config, name).shards()
    }


def flip(path: Path, part: bytes) -> None:
    """Flip one bit in the middle of `part` of a file, whose times stay what they are."""
    data, before = bytearray(path.read_bytes()), path.stat()
    data[data.index(part) + len(part) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def forget(config: RunConfig, stage: str) -> None:
    """Delete the receipts of a stage, as if it had not been reached yet."""
    for receipt in (Path(config.root) / stage).rglob("*.receipt.json"):
        receipt.unlink()


@pytest.mark.parametrize("stage", ["normalise", "plan"])
@pytest.mark.parametrize("name", CORPORA)
def test_a_flipped_bit_fails_by_name_and_is_repaired_by_the_same_download(
    tmp_path: Path, name: str, stage: str
) -> None:
    corpus = CORPORA[name]
    write(tmp_path / "mirror", corpus.files)
    config = configured(tmp_path, name, {"checksums": "sha256sums", **corpus.settings})
    before = advance(config)
    [stored] = (Path(config.root) / "raw").rglob(corpus.stored)
    damaged = {"tedlium": STM, "librispeech": LINES, "peoples_speech": b"text 8"}
    flip(stored, corpus.part if stage == "normalise" else damaged[name])
    forget(config, "normalise")
    if stage == "plan":
        forget(config, "plan")
    with pytest.raises(IntegrityError, match=stored.name) as raised:
        advance(config)
    assert raised.value.path == str(stored.relative_to(config.root))
    assert len(str(raised.value).splitlines()) == 1
    mend(config, Store(config.root), producer_of(raised.value.path))
    assert advance(config) == before


def test_a_file_that_is_gone_fails_by_name(tmp_path: Path) -> None:
    corpus = CORPORA["librispeech"]
    write(tmp_path / "mirror", corpus.files)
    config = configured(tmp_path, "librispeech", {"checksums": "sha256sums", **corpus.settings})
    before = advance(config)
    [stored] = (Path(config.root) / "raw").rglob(corpus.stored)
    forget(config, "normalise")
    for damage in (stored.unlink, lambda: stored.write_bytes(stored.read_bytes()[:-20_000])):
        damage()
        with pytest.raises(IntegrityError, match=stored.name) as raised:
            advance(config)
        mend(config, Store(config.root), producer_of(raised.value.path))
        assert advance(config) == before
        forget(config, "normalise")


def test_a_recording_that_never_was_audio_is_still_quarantined(tmp_path: Path) -> None:
    files = {"a/one.wav": WAVS[0], "a/torn.wav": b"RIFF, but no more than that"}
    write(tmp_path / "mirror", files)
    local = {"splits": {"test": SPLIT}, "columns": {"text": None}}
    config = configured(tmp_path, "own", {"local": local})
    config = config.model_copy(
        update={"runtime": config.runtime.model_copy(update={"max_quarantined_percent": 50})}
    )
    advance(config)
    [shard] = CorpusState.open(config, "own").shards()
    assert shard.receipts["normalise"].counts.quarantined == {"unreadable_audio": 1}


SPLIT = {"files": ["a/*.wav"], "role": "test"}


@pytest.fixture
def delivery(tmp_path: Path) -> RunConfig:
    """Recordings in a folder, which are not copied."""
    write(tmp_path / "mirror", {"a/one.wav": WAVS[0], "a/two.wav": WAVS[1]})
    settings = {"local": {"splits": {"test": SPLIT}, "columns": {"text": None}}}
    return configured(tmp_path, "own", settings)


def test_a_flipped_bit_of_a_delivery_fails_until_the_file_is_restored(
    delivery: RunConfig, tmp_path: Path
) -> None:
    before = advance(delivery)
    file = tmp_path / "mirror" / "a" / "two.wav"
    flip(file, WAVS[1])
    forget(delivery, "normalise")
    with pytest.raises(IntegrityError, match=r"two\.wav.*restore this file") as raised:
        advance(delivery)
    assert raised.value.path == ""  # what is not below the root is not repaired by a run
    file.write_bytes(WAVS[1])
    assert advance(delivery) == before


def test_a_changed_delivery_is_planned_anew_and_its_other_files_stay(
    delivery: RunConfig, tmp_path: Path
) -> None:
    delivery = delivery.model_copy(
        update={"plan": delivery.plan.model_copy(update={"target_shard_hours": 1e-5})}
    )
    before = advance(delivery)
    file = tmp_path / "mirror" / "a" / "two.wav"
    file.write_bytes(encoded(noise(24_000, seed=99), "WAV", "PCM_16"))
    changed = advance(delivery)
    assert changed.keys() == before.keys()
    assert [key for key in before if before[key] != changed[key]] == ["own/test/00001"]
    file.write_bytes(WAVS[1])
    assert advance(delivery) == before


def test_a_file_added_to_a_delivery_moves_no_shard(delivery: RunConfig, tmp_path: Path) -> None:
    before = advance(delivery)
    (tmp_path / "mirror" / "a" / "three.wav").write_bytes(WAVS[0])
    after = advance(delivery)
    assert len(after) == len(before) + 1
    assert {key: after[key] for key in before} == before
    state = CorpusState.open(delivery, "own")
    assert [part.key.index for part in state.plan_receipts("test")] == [0, 1]
    forget(delivery, "normalise")
    assert advance(delivery) == after


def other_archive(folder: Path) -> None:
    """The distributor's file with another recording, and a checksum to match."""
    files = {
        "LibriSpeech/dev-clean/1/2/1-2.trans.txt": LINES,
        "LibriSpeech/dev-clean/1/2/1-2-0000.flac": VOICES[0],
        "LibriSpeech/dev-clean/1/2/1-2-0001.flac": flac(noise(20_000, seed=11)),
    }
    write(folder, {"dev-clean.tar.gz": tar_gz(files)})


def test_a_download_of_other_bytes_invalidates_what_was_made_of_the_old_ones(
    tmp_path: Path,
) -> None:
    corpus = CORPORA["librispeech"]
    write(tmp_path / "mirror", corpus.files)
    config = configured(tmp_path, "librispeech", {"checksums": "sha256sums", **corpus.settings})
    before = advance(config)
    [stored] = (Path(config.root) / "raw").rglob(corpus.stored)
    path = str(stored.relative_to(config.root))
    other_archive(tmp_path / "mirror")
    mend(config, Store(config.root), producer_of(path))
    state = CorpusState.open(config, "librispeech")
    assert len(state.shards()) == 1  # until it is here, the download may be the same again
    assert [unit.stage for unit in Frontier([state], "normalise").start()] == ["download"]
    changed = advance(config)
    assert changed.keys() == before.keys() and changed != before
    write(tmp_path / "mirror", corpus.files)
    [other] = [one for one in (Path(config.root) / "raw").rglob(corpus.stored) if one != stored]
    mend(config, Store(config.root), producer_of(str(other.relative_to(config.root))))
    assert advance(config) == before


def test_shards_wait_for_a_download_that_is_made_again(tmp_path: Path) -> None:
    corpus = CORPORA["librispeech"]
    write(tmp_path / "mirror", corpus.files)
    config = configured(tmp_path, "librispeech", {"checksums": "sha256sums", **corpus.settings})
    advance(config)
    [stored] = (Path(config.root) / "raw").rglob(corpus.stored)
    forget(config, "normalise")
    mend(config, Store(config.root), producer_of(str(stored.relative_to(config.root))))
    ahead = Frontier([state := CorpusState.open(config, "librispeech")], "normalise")
    [unit] = ahead.start()
    assert unit.part is not None
    receipt = download(state.store, state.corpus, state.settings, unit.part)
    assert [one.stage for one in ahead.finished(unit, receipt)] == ["normalise"]


@pytest.mark.parametrize("name", CORPORA)
def test_indexes_without_digests_of_members_stay_usable(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored file is hashed as a whole, once, before a byte of it is used."""
    corpus = CORPORA[name]
    write(tmp_path / "mirror", corpus.files)
    config = configured(tmp_path, name, {"checksums": "sha256sums", **corpus.settings})
    before = advance(config)
    for receipt in (Path(config.root) / "raw").rglob("*.receipt.json"):
        with_old_index(config, receipt)
    forget(config, "normalise")
    forget(config, "plan")
    assert advance(config) == before
    monkeypatch.setattr(checked_files, "_CHECKED", CheckedOnce())  # as in another process
    [stored] = (Path(config.root) / "raw").rglob(corpus.stored)
    flip(stored, corpus.part)
    forget(config, "normalise")
    with pytest.raises(IntegrityError, match=stored.name):
        advance(config)


def with_old_index(config: RunConfig, path: Path) -> None:
    """Rewrite a receipt with an index as old versions wrote it."""
    store = Store(config.root)
    receipt = Receipt.parse(path.read_bytes(), str(path))
    if not receipt.beside:
        return
    with store.fetch(receipt.beside[0]) as index:
        old = pq.read_table(index).select(INDEX.names[:4])
    old = old.append_column("sha256", pa.nulls(len(old), pa.string()))
    file = io.BytesIO()
    pq.write_table(old, file, compression="zstd")
    sha256 = hashlib.sha256(file.getvalue()).hexdigest()
    name = f"{path.parent.relative_to(config.root)}/{receipt.key.index:05d}.{sha256[:8]}"
    kept = FileRef(path=f"{name}.{INDEX_NAME}", sha256=sha256, size_bytes=len(file.getvalue()))
    (Path(config.root) / kept.path).write_bytes(file.getvalue())
    path.write_bytes(receipt.model_copy(update={"beside": (kept,)}).encode())


def published(config: RunConfig) -> Manifest:
    """A manifest of the normalised shards."""
    (name,) = config.corpora
    state = CorpusState.open(config, name)
    entries = [
        ManifestEntry(
            key=shard.key,
            files={"normalise": shard.receipts["normalise"].output},
            num_windows=0,
            num_utterances=0,
            hours=0,
        )
        for shard in state.shards()
    ]
    fingerprints = {stage: {name: state.fingerprints[stage]} for stage in ("plan", "normalise")}
    content = Content(name="raw", entries=entries, fingerprints=fingerprints, parameters={})
    return Manifest(
        number=1, parent=None, digest="0" * 64, published_at="", root="", versions={}, licences={},
        totals={}, content=content,
    )  # fmt: skip


def wrong_raw_files(config: RunConfig) -> dict[str, str | None]:
    """What is wrong with each raw file of such a manifest, by the end of its name."""
    store, mirrors = Store(config.root), {name: one.mirror for name, one in config.corpora.items()}
    found = verify_raw(store, raw_files(store, published(config), mirrors))
    return {one.name.rpartition("/")[2]: problem for one, problem in found}


@pytest.mark.parametrize("name", CORPORA)
def test_each_raw_file_of_a_manifest_is_verified_once(tmp_path: Path, name: str) -> None:
    corpus = CORPORA[name]
    write(tmp_path / "mirror", corpus.files)
    config = configured(tmp_path, name, {"checksums": "sha256sums", **corpus.settings})
    advance(config)
    stored = {
        path.name
        for path in (Path(config.root) / "raw").rglob("*")
        if path.is_file() and not path.name.endswith(".receipt.json")
    }
    assert wrong_raw_files(config) == dict.fromkeys(stored)
    [victim] = (Path(config.root) / "raw").rglob(corpus.stored)
    flip(victim, corpus.part)
    found = wrong_raw_files(config)
    assert [name for name, problem in found.items() if problem] == [victim.name]
    for receipt in victim.parent.glob("*.receipt.json"):
        receipt.unlink()
    assert "no receipt names the file with sha256" in str(wrong_raw_files(config).values())


def test_the_files_of_a_delivery_are_verified_in_place(delivery: RunConfig, tmp_path: Path) -> None:
    advance(delivery)
    assert len(wrong_raw_files(delivery)) == 3
    assert not any(wrong_raw_files(delivery).values())
    flip(tmp_path / "mirror" / "a" / "two.wav", WAVS[1])
    (tmp_path / "mirror" / "a" / "one.wav").unlink()
    found = {name: problem for name, problem in wrong_raw_files(delivery).items() if problem}
    assert found.keys() == {"one.wav", "two.wav"}
    assert "is missing" in str(found["one.wav"])
    assert "has sha256" in str(found["two.wav"])


@pytest.mark.slow
def test_the_printed_command_repairs_a_flac_member(finished: Run, tmp_path: Path) -> None:
    run = copied(finished, tmp_path)
    [stored] = (run.root / "raw").rglob("*.train-clean-100.tar")
    whole = stored.read_bytes()
    starts = [found.start() for found in re.finditer(b"fLaC", whole)]
    flip(stored, whole[starts[-1] : starts[-1] + 5_000])
    key = "librispeech/train-clean-100/00000"
    for index in range(len(list((run.root / "normalise").rglob("*clean-100/*.receipt.json")))):
        key = f"librispeech/train-clean-100/{index:05d}"
        told = run.distillery("rerun", "tiny.yaml", "normalise", key, expect=None)
        if told.returncode:
            break
    assert stored.name in told.stdout + told.stderr
    verified = run.distillery("manifest", "verify", "tiny.yaml", "--raw", expect=1).stderr
    [again] = re.findall(r"again: (.+)", verified)
    run.distillery(*shlex.split(again)[1:])
    assert stored.read_bytes() == whole
    run.run()
    assert run.digest == finished.digest
    assert "unchanged" in run.distillery("manifest", "verify", "tiny.yaml", "--raw").stdout
