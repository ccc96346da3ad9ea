"""Exports, read back by the library or the schema they are for."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml

from storage.errors import IntegrityError, UserError
from storage.manifest import Manifest
from storage.receipt import FileRef
from storage.store import Store
from tasks.audio import decode_flac
from tasks.export.hugging_face import HuggingFace
from tasks.export.nemo import TABLE, Nemo
from tasks.export.parts import Format, Part, Written, export, parts
from tasks.export.rows import Row, entry_rows, file_name
from tests.tasks.export.conftest import NUM_WINDOWS, members, shards, window_pcm

NUM_KEPT = NUM_WINDOWS - 1


def write(
    published: Manifest, store: Store, folder: Path, form: Format, part_bytes: int = 10**9
) -> list[int]:
    counts: list[int] = []
    export(published, store, Store(str(folder)), form, counts.append, 2, part_bytes)
    return counts


def names() -> list[tuple[str, int]]:
    return [(shard, window) for shard in shards() for window in range(NUM_KEPT)]


def tree(folder: Path) -> dict[str, bytes]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def loaded(folder: Path, cache: Path, *config: str) -> list[dict[str, Any]]:
    rows = datasets.load_dataset(str(folder), *config, split="train", cache_dir=str(cache))
    return list(rows)


@pytest.mark.parametrize("part_bytes", [10**9, 9_000])
def test_datasets_reads_the_published_windows(
    published: Manifest, store: Store, tmp_path: Path, part_bytes: int
) -> None:
    folder = tmp_path / "hf"
    counts = write(published, store, folder, HuggingFace(), part_bytes)
    assert sum(counts) == published.content.num_windows == 3 * NUM_KEPT
    rows = {row["id"]: row for row in loaded(folder, tmp_path / "cache")}
    assert sorted(rows) == sorted(f"{shard}/w{window}" for shard, window in names())
    for shard, window in names():
        row = rows[f"{shard}/w{window}"]
        assert row["utterance_ids"] == members(shard, window)
        assert row["text"] == (f"said {window}" if window else "")
        assert row["pseudo_text"] == f"DecodingResult {window}, “so”"
        assert row["wer_percent"] == (10.0 * window if window else None)
        assert (row["corpus"], row["split"], row["language"]) == (shard[:-1], "train", "en")
        expected = window_pcm(shard, window)
        found = decode_flac(row["audio"]["bytes"])
        assert np.array_equal(found * 32768, expected.astype(np.float32))
        assert row["duration_s"] == len(expected) / 16_000
        offsets = [round(offset_s * 16_000) for offset_s in row["offsets_s"]]
        assert offsets[0] == 0
        assert all(not expected[offset - 160 : offset].any() for offset in offsets[1:])


def test_each_corpus_is_a_configuration_and_the_card_has_the_hubs_metadata(
    published: Manifest, store: Store, tmp_path: Path
) -> None:
    write(published, store, tmp_path / "hf", HuggingFace())
    only = loaded(tmp_path / "hf", tmp_path / "cache", "two")
    assert {row["corpus"] for row in only} == {"two"}
    assert len(only) == NUM_KEPT
    _, head, text = (tmp_path / "hf" / "README.md").read_text().split("---\n", 2)
    metadata = yaml.safe_load(head)
    assert metadata["license"] == "cc-by-4.0"
    assert metadata["language"] == ["en"]
    assert metadata["size_categories"] == ["n<1K"]
    assert "# small 1" in text


def nemo_items(table: Path) -> Iterator[dict[str, Any]]:
    """Lines as NeMo's documentation describes them; paths are relative to the manifest."""
    for line in table.read_text().splitlines():
        item = json.loads(line)
        audio = Path(item["audio_filepath"])
        assert len(item["audio_filepath"]) < 255  # longer ones are not looked for
        item["audio_file"] = audio if audio.is_absolute() else table.parent / audio
        assert isinstance(item["duration"], float)
        assert isinstance(item["text"], str) and isinstance(item["pred_text"], str)
        yield item


@pytest.mark.parametrize("part_bytes", [10**9, 9_000])
def test_nemo_finds_audio_and_texts(
    published: Manifest, store: Store, tmp_path: Path, part_bytes: int
) -> None:
    write(published, store, tmp_path / "nemo", Nemo(), part_bytes)
    items = list(nemo_items(tmp_path / "nemo" / TABLE))
    assert [item["id"] for item in items] == [f"{shard}/w{window}" for shard, window in names()]
    for item, (shard, window) in zip(items, names(), strict=True):
        samples, rate_hz = soundfile.read(item["audio_file"], dtype="int16")
        assert rate_hz == 16_000
        assert np.array_equal(samples, window_pcm(shard, window))
        assert item["duration"] == len(samples) / rate_hz
        assert (item["text"], item["lang"]) == (f"said {window}" if window else "", "en")
        assert item["pred_text"] == f"DecodingResult {window}, “so”"
        assert item["wer"] == (pytest.approx(window / 10) if window else None)
    moved = (tmp_path / "nemo").rename(tmp_path / "elsewhere")
    assert all(item["audio_file"].is_file() for item in nemo_items(moved / TABLE))


class Stopped(Exception):
    pass


class StopsInSecondPart:
    """A format that is killed in the middle of its second part."""

    def __init__(self, form: Format) -> None:
        self.form = form
        self.name, self.version, self.folder = form.name, form.version, form.folder
        self.parts: list[Part] = []

    def write(self, dest: Store, part: Part, rows: Iterator[Row]) -> FileRef:
        self.parts.append(part)
        if len(self.parts) == 2:
            self.form.write(dest, part, self._stop_after(rows, 1))
        return self.form.write(dest, part, rows)

    def _stop_after(self, rows: Iterator[Row], num_rows: int) -> Iterator[Row]:
        yield from islice(rows, num_rows)
        raise Stopped

    def finish(self, dest: Store, manifest: Manifest, written: Sequence[Written]) -> None:
        raise AssertionError


@pytest.mark.parametrize("form", [HuggingFace(), Nemo()], ids=["hf", "nemo"])
def test_an_interrupted_export_resumes_to_the_same_files(
    published: Manifest, store: Store, tmp_path: Path, form: HuggingFace | Nemo
) -> None:
    write(published, store, tmp_path / "whole", form, 9_000)
    with pytest.raises(Stopped):
        write(published, store, tmp_path / "stopped", StopsInSecondPart(form), 9_000)
    before = tree(tmp_path / "stopped")
    assert not any(name.endswith(".part") for name in before)
    assert "README.md" not in before
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "stopped").rglob("0*-of-*")}
    assert stamps
    write(published, store, tmp_path / "stopped", form, 9_000)
    assert tree(tmp_path / "stopped") == tree(tmp_path / "whole")
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_a_missing_or_truncated_part_is_written_again(
    published: Manifest, store: Store, tmp_path: Path
) -> None:
    write(published, store, tmp_path / "hf", HuggingFace(), 9_000)
    whole = tree(tmp_path / "hf")
    first, second, *_ = sorted((tmp_path / "hf").rglob("*.parquet"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    write(published, store, tmp_path / "hf", HuggingFace(), 9_000)
    assert tree(tmp_path / "hf") == whole


def test_a_folder_with_another_export_is_refused(
    published: Manifest, store: Store, tmp_path: Path
) -> None:
    write(published, store, tmp_path / "out", HuggingFace())
    before = tree(tmp_path / "out")
    with pytest.raises(UserError, match="contains the export of small 1 as hf"):
        write(published, store, tmp_path / "out", Nemo())
    assert tree(tmp_path / "out") == before


@pytest.mark.parametrize("form", [HuggingFace(), Nemo()], ids=["hf", "nemo"])
def test_an_object_store_gets_the_same_files(
    published: Manifest, store: Store, tmp_path: Path, s3_store: Store, form: HuggingFace | Nemo
) -> None:
    for path in s3_store.list(""):
        s3_store.delete(path)
    export(published, store, s3_store, form, lambda _: None, 2)
    write(published, store, tmp_path / "local", form)
    assert {path: s3_store.read(path) for path in s3_store.list("")} == tree(tmp_path / "local")


def test_parts_contain_every_window_once_and_have_the_requested_size(published: Manifest) -> None:
    entries = published.content.entries
    for part_bytes in (1, 5_000, 9_000, 10**9):
        found = parts(entries, part_bytes)
        assert len({part.name for part in found}) == len(found)
        windows = [
            (piece.entry, window)
            for part in found
            for piece in part.pieces
            for window in range(piece.first, piece.end)
        ]
        assert windows == [
            (place, window) for place in range(len(entries)) for window in range(NUM_KEPT)
        ]
        assert sum(part.num_windows for part in found) == len(windows)
    assert len(parts(entries, 1)) == len(windows)
    assert [part.name for part in parts(entries)] == ["one/00000-of-00001", "two/00000-of-00001"]


def test_a_changed_file_is_refused(published: Manifest, store: Store, tmp_path: Path) -> None:
    path = published.content.entries[0].files["score"].path
    data = bytearray(store.read(path))
    data[len(data) // 2] ^= 1
    store.delete(path)
    store.put_if_absent(path, bytes(data))
    with pytest.raises(IntegrityError, match=path):
        write(published, store, tmp_path / "out", HuggingFace())


def test_a_wrong_number_of_windows_is_refused(published: Manifest, store: Store) -> None:
    entry = published.content.entries[0].model_copy(update={"num_windows": NUM_KEPT + 1})
    with pytest.raises(IntegrityError, match="has 6 windows, the manifest states 7"):
        list(entry_rows(entry, store, 0, 1, 1))


def test_evidence_of_other_utterances_is_refused(published: Manifest, store: Store) -> None:
    entry = published.content.entries[0]
    with store.fetch(entry.files["score"]) as path:
        table = pq.read_table(path)
    rows = [{**row, "utterance_ids": row["utterance_ids"] * 2} for row in table.to_pylist()]
    with store.sink("x") as sink:
        pq.write_table(pa.Table.from_pylist(rows, table.schema), sink)
        evidence = store.keep(sink, "score/other.parquet")
    other = entry.model_copy(update={"files": {**entry.files, "score": evidence}})
    with pytest.raises(IntegrityError, match=r"its evidence in score/other\.parquet is of 2"):
        list(entry_rows(other, store, 0, 1, 1))


@pytest.mark.parametrize(
    ("window_id", "name"),
    [
        ("fe_03_00000-A.flac", "fe_03_00000-A.flac"),
        ("a/b", "a_b-c14cddc0"),
        (".a", "a-36797c3a"),
        ("w" * 300, "w" * 100 + "-67460a0f"),
    ],
)
def test_window_ids_become_file_names(window_id: str, name: str) -> None:
    assert file_name(window_id) == name
