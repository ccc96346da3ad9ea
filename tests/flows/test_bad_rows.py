"""A bad row is rejected when it is planned, and planned once its source is repaired."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState
from flows.state.utterances.history import read_history
from storage.receipt import Receipt
from storage.store import Store
from tasks.download.raw import download
from tasks.work import run_job, run_plan
from tests.builders import flac, noise

TEACHER = Path(__file__).parents[2] / "tasks" / "demo" / "teacher"
GOOD = [{"audio": f"{number}.flac", "text": f"text {number}"} for number in range(4)]


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    folder = tmp_path / "speech"
    folder.mkdir()
    for number in range(4):
        (folder / f"{number}.flac").write_bytes(flac(noise(16_000, seed=number)))
    return folder


def config_of(speech: Path) -> RunConfig:
    columns = {"id": "id", "start_s": "start"}
    local = {"splits": {"train": {"files": ["train.jsonl"]}}, "columns": columns}
    return RunConfig.model_validate(
        {
            "root": str(speech.parent / "root"),
            "corpora": {"own": {"mirror": str(speech), "local": local}},
            "label": {"teacher": {"path": str(TEACHER)}},
            "publish": {"name": "own"},
            "runtime": {"max_quarantined_percent": 90},
        }
    )


def write(speech: Path, *rows: dict[str, Any]) -> None:
    lines = [json.dumps({"id": f"row{number}", **row}) for number, row in enumerate(rows)]
    (speech / "train.jsonl").write_text("".join(f"{line}\n" for line in lines))


def plan(config: RunConfig) -> Receipt:
    """Download and plan what is missing; the new part of the plan."""
    state = CorpusState.open(config, "own")
    for part in state.downloads.missing().values():
        download(state.store, state.corpus, state.settings, part)
    state = CorpusState.open(config, "own")
    [(key, archives)] = state.unplanned_splits().items()
    return run_plan(config, state.place("plan", key), archives)


def utterances(config: RunConfig) -> list[str]:
    """Normalise all planned shards; the ids of the utterances."""
    state = CorpusState.open(config, "own")
    ids: list[str] = []
    for shard in state.pending("normalise"):
        run_job(config, state.job(shard, "normalise"))
    for shard in CorpusState.open(config, "own").shards():
        with Store(config.root).fetch(shard.receipts["normalise"].output) as path:
            ids += pq.read_table(path, columns=["id"]).column("id").to_pylist()
    return sorted(ids)


def test_bad_rows_are_counted_and_block_no_other(speech: Path) -> None:
    config = config_of(speech)
    write(
        speech,
        GOOD[0],
        {**GOOD[1], "start": 1e308},
        {**GOOD[2], "text": "a lone \ud800"},
        {**GOOD[3], "id": "caf\udce9"},
        GOOD[3],
    )
    receipt = plan(config)
    assert receipt.counts.quarantined == {"malformed_text": 2, "malformed_times": 1}
    assert receipt.counts.rows_out == 2
    assert utterances(config) == ["row0", "row4"]


def test_a_row_whose_audio_arrives_later_is_planned_then(speech: Path) -> None:
    config = config_of(speech)
    audio = (speech / "1.flac").read_bytes()
    (speech / "1.flac").unlink()
    write(speech, *GOOD)
    assert plan(config).counts.quarantined == {"no_audio": 1}
    assert utterances(config) == ["row0", "row2", "row3"]

    (speech / "1.flac").write_bytes(audio)
    later = plan(config)
    assert (later.counts.rows_in, later.counts.rows_out) == (1, 1)
    assert utterances(config) == ["row0", "row1", "row2", "row3"]
    history = read_history(config, Store(config.root), "row1")
    assert history.shard == "own/train/00001"


def test_a_repaired_table_has_all_its_rows_planned(speech: Path) -> None:
    config = config_of(speech)
    write(speech, *GOOD[:2], {**GOOD[2], "start": 1e308}, {**GOOD[3], "text": "\ud800"})
    assert plan(config).counts.rows_out == 2
    assert utterances(config) == ["row0", "row1"]
    write(speech, *GOOD)
    plan(config)
    assert utterances(config) == ["row0", "row1", "row2", "row3"]
