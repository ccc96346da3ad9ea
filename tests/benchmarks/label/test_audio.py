"""Real speech for the benchmark of labelling: tables and LibriSpeech become a normalised shard."""

import json
import tarfile
from pathlib import Path

import pytest

from benchmarks.label.audio import read_speech
from benchmarks.label.contender import prepared
from tests.builders import flac, noise

SECONDS = (3.0, 4.0, 5.0, 2.0)


def write_table(folder: Path, **columns: list[str]) -> Path:
    rows = []
    for number, seconds in enumerate(SECONDS):
        (folder / f"{number}.flac").write_bytes(flac(noise(round(seconds * 16_000), seed=number)))
        row = {"audio": f"{number}.flac", "id": f"u{number}"}
        rows.append(row | {name: values[number] for name, values in columns.items()})
    table = folder / "train.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return table


def write_librispeech(folder: Path) -> Path:
    chapter = folder / "LibriSpeech" / "dev-clean" / "7" / "8"
    chapter.mkdir(parents=True)
    lines = []
    for number, seconds in enumerate(SECONDS):
        name = f"7-8-{number:04d}"
        (chapter / f"{name}.flac").write_bytes(flac(noise(round(seconds * 16_000), seed=number)))
        lines.append(f"{name} WORD NUMBER {number}")
    (chapter / "7-8.trans.txt").write_text("\n".join(lines) + "\n")
    return folder / "LibriSpeech"


def test_a_table_becomes_a_shard_with_references_by_id(tmp_path: Path) -> None:
    table = write_table(tmp_path, text=["a", "b  c", "d", "e"], speaker=["s"] * 4)
    speech = read_speech(tmp_path / "speech.parquet", table, 100.0, 30.0)
    assert sorted(speech.texts.items()) == [("u0", "a"), ("u1", "b c"), ("u2", "d"), ("u3", "e")]
    assert speech.audio_s == pytest.approx(sum(SECONDS))
    assert [row for batch in speech.batches() for row in batch.column("id").to_pylist()] == list(
        speech.texts
    )
    [window] = prepared(speech, 30 * 16_000, "speaker")
    assert len(window.audio.samples) == round(sum(SECONDS) * 16_000)


def test_a_table_without_texts_has_empty_references(tmp_path: Path) -> None:
    speech = read_speech(tmp_path / "speech.parquet", write_table(tmp_path), 100.0, 30.0)
    assert set(speech.texts.values()) == {""}


def test_it_ends_with_the_utterance_that_completes_the_time(tmp_path: Path) -> None:
    table = write_table(tmp_path, text=["a"] * 4, recording=["r"] * 4)
    speech = read_speech(tmp_path / "speech.parquet", table, 6.0, 30.0)
    assert speech.audio_s == pytest.approx(7.0)
    assert list(speech.texts) == ["u0", "u1"]


def test_longer_utterances_than_a_window_are_left_out(tmp_path: Path) -> None:
    table = write_table(tmp_path, text=["a"] * 4)
    speech = read_speech(tmp_path / "speech.parquet", table, 100.0, 3.5)
    assert sorted(speech.texts) == ["u0", "u3"]


@pytest.mark.parametrize("packed", [False, True])
def test_librispeech_is_read_as_folder_and_as_archive(tmp_path: Path, packed: bool) -> None:
    audio = write_librispeech(tmp_path / "corpus")
    if packed:
        with tarfile.open(tmp_path / "dev-clean.tar.gz", "w:gz") as archive:
            archive.add(audio, "LibriSpeech")
        audio = tmp_path / "dev-clean.tar.gz"
    speech = read_speech(tmp_path / "speech.parquet", audio, 100.0, 30.0)
    assert speech.texts == {f"7-8-{n:04d}": f"word number {n}" for n in range(4)}
