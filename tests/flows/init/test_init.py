"""`distillery init`: the configuration that it writes for each kind of source is one that runs."""

import io
import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml
from typer.testing import CliRunner, Result

from configs.load import load_config
from flows.commands.app import app
from flows.init.configuration import configuration
from flows.init.folder import inspect_path
from flows.init.held_out import hold_out
from flows.init.hub import inspect_hub
from flows.init.teacher import TeacherChoice, choose_teacher
from storage.errors import UserError
from storage.store import Store
from tasks.corpora.registry import corpus_of_run
from tests.builders import flac, noise
from tests.flows.running import TEACHER, Run
from tests.hub_server import hub_server

RATE_HZ = 16_000
NUM_SPEAKERS = 12
LARGE_V2 = choose_teacher(None)

Init = Callable[..., Result]


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Init:
    """`distillery init`, in an empty folder."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    def call(*words: str) -> Result:
        return CliRunner().invoke(app, ["init", *words])

    return call


def write_audio(file: Path, seconds: float, seed: int = 0) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))
    is_opus = file.suffix == ".opus"
    options = {"format": "OGG", "subtype": "OPUS"} if is_opus else {"format": "FLAC"}
    soundfile.write(file, samples.astype(np.float32), RATE_HZ, **options)


def write_lines(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def books(folder: Path, *, num_each: int = 3, **without: str) -> Path:
    """Utterances of a few speakers, in FLAC and Opus, described by one table."""
    rows = []
    for speaker in range(NUM_SPEAKERS):
        for number in range(num_each):
            suffix = "opus" if number % 2 else "flac"
            name = f"audio/{speaker}/{speaker}-{number}.{suffix}"
            seconds = 1.0 + number / 4
            write_audio(folder / name, seconds, seed=speaker * 100 + number)
            rows.append(
                {
                    "audio": name, "id": f"{speaker}-{number}", "text": "TWO WORDS",
                    "speaker": str(speaker), "duration_s": seconds,
                }
            )  # fmt: skip
    write_lines(
        folder / "train.jsonl",
        [{key: value for key, value in row.items() if key not in without} for row in rows],
    )
    return folder


def test_a_table_in_json_lines(tmp_path: Path, init: Init) -> None:
    folder = books(tmp_path / "books")
    done = init(str(folder), "--teacher", "tasks/demo/teacher")
    assert done.exit_code == 0, done.output
    assert "distillery run books.yaml --plan" in done.output
    config = load_config("books.yaml")
    local = config.corpora["books"].local
    assert local is not None
    assert config.corpora["books"].mirror == str(folder)
    assert (local.columns.id, local.columns.speaker) == ("id", "speaker")
    assert local.hours == pytest.approx(NUM_SPEAKERS * 3.75 / 3600, abs=0.005)
    assert {split.role for split in local.splits.values()} == {"train", "validation", "test"}
    assert config.normalise.max_duration_s == 8.0, "what the demo's teacher takes"
    assert config.label.teacher.path == "tasks/demo/teacher"


def test_it_overwrites_nothing(tmp_path: Path, init: Init) -> None:
    folder = books(tmp_path / "books")
    Path("books.yaml").write_text("mine")
    done = init(str(folder))
    assert isinstance(done.exception, UserError)
    assert "books.yaml exists and is not overwritten" in str(done.exception)
    assert Path("books.yaml").read_text() == "mine"
    assert init(str(folder), "--out", "other.yaml", "--name", "my books").exit_code == 0
    assert list(load_config("other.yaml").corpora) == ["my-books"]


@pytest.mark.slow
def test_what_it_writes_can_be_planned_and_normalised(tmp_path: Path, init: Init) -> None:
    folder = books(tmp_path / "books", num_each=2)
    assert init(str(folder), "--teacher", str(TEACHER)).exit_code == 0
    file = Path("books.yaml").absolute()
    run = Run(file.parent, file)
    planned = json.loads(run.run("--plan", "--json").stdout)
    assert planned["corpora"][0]["basis"] == "as configured"
    run.run("--until", "normalise")
    [*lines] = [line for line in run.json("status")["stages"] if line["stage"] == "normalise"]
    assert {line["split"] for line in lines} == {"dev", "test", "train"}
    assert sum(line["rows_out"] for line in lines) == 2 * NUM_SPEAKERS
    tables = [pq.read_table(f) for f in (file.parent / "books-data/normalise").rglob("*.parquet")]
    by_split: dict[str, set[str]] = {}
    for table in tables:
        for row in table.to_pylist():
            by_split.setdefault(row["split"], set()).add(row["speaker_id"])
    assert sum(len(speakers) for speakers in by_split.values()) == NUM_SPEAKERS


def test_the_hours_of_each_split_are_those_that_the_run_will_see(tmp_path: Path) -> None:
    source = inspect_path(books(tmp_path / "books"))
    parts = hold_out(source)
    assert sum(parts.hours.values()) == pytest.approx(source.total_hours)
    assert parts.percents.keys() == {"dev", "test"}
    assert all(parts.hours[name] >= 0.8 * 0.05 * source.total_hours for name in parts.percents)


def test_audio_with_texts_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "My calls"
    for number in range(40):
        write_audio(folder / f"monday/{number}.flac", 1.5)
        (folder / f"monday/{number}.txt").write_text("hello there")
    write_audio(folder / "monday/unheard.flac", 1.5)
    source = inspect_path(folder)
    assert (source.name, source.basis, source.num_rows) == ("My-calls", "headers", 41)
    assert source.total_hours == pytest.approx(41 * 1.5 / 3600)
    assert source.remarks == ("1 of 41 files have no text.",)
    text = configuration(source, LARGE_V2, "en")
    local = yaml.safe_load(text)["corpora"]["My-calls"]["local"]
    assert local["splits"]["train"]["files"] == ["*.flac"]
    assert list(local["splits"])[-1] == "train"
    assert "a share of the recordings" in text
    assert "no speaker is known" in text


@pytest.mark.parametrize(
    "change",
    [
        {"speaker": ["a"]},
        {"speaker": {"a": 1}},
        {"speaker": "\ud800"},
        {"id": "\ud800"},
        {"duration_s": 10**400},
        {"duration_s": 1e308},
        {"audio": "x" * 5_000},
        {"audio": "a\0b"},
        {"text": {"a": 1}},
    ],
    ids=str,
)
def test_no_value_of_a_table_is_an_error_of_a_library(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = books(tmp_path / "books")
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    rows[3] |= change
    write_lines(folder / "train.jsonl", rows)
    text = configuration(inspect_path(folder), LARGE_V2, "en")
    assert yaml.safe_load(text)["corpora"]["books"]["local"]["hours"] < 1


@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_damaged_parquet_file_is_an_error_of_the_user(tmp_path: Path, place: float) -> None:
    folder = books(tmp_path / "books")
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    (folder / "train.jsonl").unlink()
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet", compression="none")
    content = bytearray((folder / "train.parquet").read_bytes())
    start = round(place * len(content))
    content[start : start + 40] = bytes(40)
    (folder / "train.parquet").write_bytes(content)
    with suppress(UserError):
        inspect_path(folder)


def test_a_teacher_with_damaged_settings_is_named(tmp_path: Path) -> None:
    shutil.copytree(TEACHER, tmp_path / "teacher")
    (tmp_path / "teacher" / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json is not JSON"):
        choose_teacher(str(tmp_path / "teacher"))


def test_texts_and_audio_that_will_not_be_used_are_named(tmp_path: Path) -> None:
    for number in range(3):
        write_audio(tmp_path / f"calls/{number}.flac", 1.5)
        (tmp_path / f"calls/{number}.txt").write_text("hello there")
    (tmp_path / "calls/3.txt").write_text("whose audio has a suffix that is not read")
    (tmp_path / "calls/3.aac").write_bytes(b"audio")
    source = inspect_path(tmp_path / "calls")
    assert source.remarks == ("1 texts have no audio beside them, such as 3.txt.",)
    folder = books(tmp_path / "books")
    write_audio(folder / "more/1.flac", 1.5)
    assert inspect_path(folder).remarks == ()
    (folder / "more/1.txt").write_text("in no table")
    [remark] = inspect_path(folder).remarks
    assert "1 audio files have a text beside them, such as more/1.flac" in remark


def test_folders_that_name_splits_are_these_splits(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        write_audio(tmp_path / f"corpus/{split}/1.flac", 1.0)
        (tmp_path / f"corpus/{split}/1.txt").write_text("hello")
    parts = hold_out(inspect_path(tmp_path / "corpus"))
    assert parts.percents == {}
    assert {name: (split.files, split.role) for name, split in parts.splits.items()} == {
        "dev": (("dev/*.flac",), "validation"),
        "test": (("test/*.flac",), "test"),
        "train": (("train/*.flac",), "train"),
    }


def test_recordings_without_texts_are_cut_and_judged_by_their_labels(tmp_path: Path) -> None:
    write_audio(tmp_path / "radio/1.flac", 40.0)
    source = inspect_path(tmp_path / "radio")
    text = configuration(source, LARGE_V2, "en")
    settings = yaml.safe_load(text)
    assert settings["corpora"]["radio"]["local"]["columns"] == {"text": None}
    assert settings["normalise"] == {"segment": "vad"}
    assert settings["filter"] == {"drop_empty_reference": False}
    assert "stop after `publish`" in text


def test_parquet_with_its_audio_inside(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    audio = {"bytes": flac(noise(RATE_HZ)), "path": "1.flac"}
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001"):
        table = pa.table(
            {
                "audio": [audio] * 20,
                "sentence": ["x"] * 20,
                "client_id": [f"{n}" for n in range(20)],
            }
        )
        pq.write_table(table, tmp_path / "set" / f"{name}.parquet")
    source = inspect_path(tmp_path / "set")
    assert source.columns.model_dump(exclude_none=True) == {
        "audio": "audio", "text": "sentence", "speaker": "client_id",
    }  # fmt: skip
    assert source.total_hours == pytest.approx(60 / 3600, rel=0.01)
    assert source.basis == "sample"
    parts = hold_out(source)
    assert parts.splits["validation"].files == ("validation-*.parquet",)
    assert parts.splits["test"].files == parts.splits["train"].files == ("train-*.parquet",)
    assert parts.percents.keys() == {"test"}


def test_paths_that_leave_the_folder_of_the_table_start_from_the_folder_above(
    tmp_path: Path,
) -> None:
    rows = [{"audio_filepath": f"../audio/{n}.flac", "text": "x", "duration": 1.0} for n in "abcd"]
    write_lines(tmp_path / "set/lists/train.jsonl", rows)
    for name in "abcd":
        write_audio(tmp_path / f"set/audio/{name}.flac", 1.0)
    source = inspect_path(tmp_path / "set/lists/train.jsonl")
    assert source.mirror == str(tmp_path / "set")
    assert source.splits["train"].files == ("lists/train.jsonl",)


@pytest.mark.parametrize(
    ("change", "columns", "remark"),
    [
        ({"duration_s": 90_000_000}, {"duration_s"}, "duration_s is not in seconds"),
        ({"id": "same"}, {"id"}, "id is not unique"),
        ({"text": ""}, {"text"}, "text holds no texts"),
        ({"speaker": None}, {"speaker"}, ""),
        ({"offset": 1.0, "duration_s": None}, {"start_s", "duration_s"}, ""),
    ],
)
def test_a_column_that_is_not_what_it_is_called_is_left_out(
    tmp_path: Path, change: Mapping[str, Any], columns: set[str], remark: str
) -> None:
    folder = books(tmp_path / "books", num_each=1)
    table = folder / "train.jsonl"
    write_lines(table, [json.loads(line) | change for line in table.read_text().splitlines()])
    source = inspect_path(folder)
    assert all(getattr(source.columns, name) is None for name in columns)
    assert remark in " ".join(source.remarks)
    assert source.total_hours == pytest.approx(NUM_SPEAKERS / 3600, rel=0.01)


def test_one_speaker_cannot_be_held_out_from(tmp_path: Path) -> None:
    folder = books(tmp_path / "books", num_each=1)
    table = folder / "train.jsonl"
    rows = [json.loads(line) | {"speaker": "me"} for line in table.read_text().splitlines()]
    write_lines(table, rows)
    source = inspect_path(folder)
    assert hold_out(source).percents.keys() == {"dev", "test"}
    assert source.columns.speaker is None
    assert "too few speakers" in " ".join(source.remarks)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds neither audio"),
        ({"train.jsonl": b'{"audio": "gone.flac", "text": "x"}\n'}, "no row of train.jsonl leads"),
        ({"train.jsonl": b'{"sound": "1.flac"}\n'}, "none of them is known to hold audio"),
        ({"train.jsonl": b"\n"}, "holds no rows"),
        ({"train.parquet": b"PAR1"}, "is not a whole Parquet file"),
        ({"1.flac": b"fLaC"}, "no header of an audio file"),
    ],
)
def test_what_cannot_be_learnt_from_says_why(
    tmp_path: Path, files: Mapping[str, bytes], message: str
) -> None:
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=message):
        inspect_path(tmp_path)


def test_a_data_set_of_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    audio = {"bytes": flac(noise(RATE_HZ)), "path": "1.flac"}
    pq.write_table(pa.table({"audio": [audio], "transcription": ["x"], "speaker_id": [1]}), file)
    files = {f"data/train-0000{n}-of-00002.parquet": file.getvalue() for n in range(2)}
    with hub_server({"someone/harbour": files}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        source = inspect_hub("someone/harbour", "main")
        assert source.revision == hub.commit("someone/harbour")
        ranged = [one for one in hub.requests if one.origin == "cdn"]
        assert ranged and all(one.range is not None for one in ranged)
        with pytest.raises(UserError, match="no such data set"):
            inspect_hub("someone/else", "main")
    settings = yaml.safe_load(configuration(source, LARGE_V2, "en"))
    corpus = settings["corpora"]["harbour"]
    assert corpus["local"]["hub"] == "someone/harbour"
    assert corpus["local"]["columns"] == {"text": "transcription", "speaker": "speaker_id"}
    assert corpus["local"]["splits"]["dev"]["percent"] == 5
    assert corpus["local"]["splits"]["train"]["files"] == ["data/train-*.parquet"]


def test_a_teacher_is_a_folder_or_a_pinned_model(tmp_path: Path) -> None:
    assert choose_teacher(str(TEACHER)) == TeacherChoice(
        choose_teacher(str(TEACHER)).settings, window_s=8.0, num_decoder_layers=6
    )
    pinned = choose_teacher(f"someone/whisper-tiny@{'a' * 40}")
    assert (pinned.settings.hub, pinned.settings.revision) == ("someone/whisper-tiny", "a" * 40)
    assert pinned.num_decoder_layers is None  # someone may have changed it
    assert LARGE_V2.settings.hub == "openai/whisper-large-v2"
    assert LARGE_V2.num_decoder_layers == 32
    turbo = choose_teacher(f"openai/whisper-large-v3-turbo@{'a' * 40}")
    assert turbo.num_decoder_layers is None
    with pytest.raises(UserError, match="no teacher 'nowhere'"):
        choose_teacher("nowhere")
    with pytest.raises(UserError, match="holds no Whisper"):
        choose_teacher(str(tmp_path))


def test_names_that_yaml_would_read_as_something_else(tmp_path: Path) -> None:
    folder = books(tmp_path / "1e3: #[x]", num_each=1)
    os.rename(folder / "train.jsonl", folder / "no.jsonl")
    source = inspect_path(folder / "no.jsonl")
    settings = yaml.safe_load(configuration(source, LARGE_V2, "no"))
    assert settings["label"]["language"] == "no"
    [(name, corpus)] = settings["corpora"].items()
    assert (name, corpus["mirror"]) == ("no", str(folder))
    shutil.rmtree(folder)
    file = tmp_path / "run.yaml"
    file.write_text(configuration(source, LARGE_V2, "no"))
    assert corpus_of_run(load_config(file), name).splits["train"] == "train"
    assert Store(str(tmp_path)).exists("run.yaml")
