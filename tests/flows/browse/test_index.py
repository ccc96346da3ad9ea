"""The index of a finished run: every training utterance once, decided as the filter decided."""

import io
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from configs.load import load_config
from configs.schema import RunConfig
from flows.browse.audio import AudioReader
from flows.browse.index import index_parts, read_index
from flows.browse.part import shard_part
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.shard_state import ShardState
from storage.errors import IntegrityError
from storage.receipt import FileRef
from storage.store import Store
from tests.flows.running import Run, copied, tiny

Row = dict[str, Any]


def settings_of(run: Run) -> RunConfig:
    return load_config(run.config).model_copy(update={"root": str(run.root)})


def opened(config: RunConfig, scratch: Path, root: str = "") -> list[CorpusState]:
    return list(corpus_states(config, Store(root or config.root, str(scratch))))


def rows_of(states: list[CorpusState]) -> list[Row]:
    rows: list[Row] = read_index(index_parts(states)).to_pylist()
    return rows


def audio_files(states: list[CorpusState]) -> dict[str, FileRef]:
    shards = [shard for state in states for shard in state.shards("train")]
    outputs = [shard.receipts["normalise"].output for shard in shards]
    return {one.path: one for one in outputs}


def test_every_training_utterance_is_there_once_with_its_outcome(
    finished: Run, tmp_path: Path
) -> None:
    rows = rows_of(opened(settings_of(finished), tmp_path))
    counted = Counter[tuple[str, str]]()
    for line in finished.json("status")["stages"]:
        if line["stage"] != "index":
            counted.update({("dropped", name): number for name, number in line["dropped"].items()})
            counted.update(
                {("quarantined", name): number for name, number in line["quarantined"].items()}
            )
    found = Counter((row["outcome"], row["reason"]) for row in rows if row["outcome"] != "kept")
    assert found["dropped", "wer"] > 1
    assert found["quarantined", "unreadable_audio"] >= 1
    assert all(found[key] <= counted[key] for key in found)
    assert len({row["id"] for row in rows}) == len(rows)
    kept = [
        path for path in (finished.root / "filter").rglob("*.parquet") if "quar" not in path.name
    ]
    ids = {
        name
        for path in kept
        for row in pq.read_table(path).to_pylist()
        for name in row["utterance_ids"]
    }
    assert {row["id"] for row in rows if row["outcome"] == "kept"} == ids


def test_a_scored_utterance_has_its_texts_and_scores(finished: Run, tmp_path: Path) -> None:
    states = opened(settings_of(finished), tmp_path)
    rows = rows_of(states)
    row = next(row for row in rows if row["reason"] == "wer")
    explained = finished.distillery("explain", "tiny.yaml", row["id"], "--json").stdout
    assert row["detail"] in explained and row["raw_text"] in explained
    assert row["wer_percent"] > 10 and row["window_wer_percent"] == row["wer_percent"]
    assert row["label"] and row["reference"] != row["hypothesis"]
    without = next(row for row in rows if row["outcome"] == "quarantined")
    assert (without["file"], without["wer_percent"], without["label"]) == (None, None, None)


def test_the_audio_of_a_row_is_that_of_its_shard(finished: Run, tmp_path: Path) -> None:
    states = opened(settings_of(finished), tmp_path)
    reader = AudioReader(states[0].store, audio_files(states))
    row = next(row for row in rows_of(states) if row["file"])
    data = reader.read(row["file"], row["row_group"], row["id"])
    stored = {one["id"]: one for one in pq.read_table(finished.root / row["file"]).to_pylist()}
    assert data == stored[row["id"]]["audio"]["bytes"]
    assert soundfile.info(io.BytesIO(data)).duration == pytest.approx(row["duration_s"], abs=0.01)
    with pytest.raises(IntegrityError, match="has no 'other' in row group 0"):
        reader.read(row["file"], 0, "other")


@pytest.fixture
def on_s3(finished: Run, s3_store: Store) -> Store:
    """The results of the finished run in a bucket."""
    for path in sorted(finished.root.rglob("*")):
        name = path.relative_to(finished.root).as_posix()
        if path.is_file() and name.split("/")[0] not in (
            "synthetic",
            "distil",
            "evaluate",
            "scratch",
        ):
            s3_store.put_if_absent(name, path.read_bytes())
    return s3_store


def test_no_shard_is_fetched_for_its_audio(
    finished: Run, on_s3: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    fetch = Store.fetch

    def noted(self: Store, ref: FileRef, **more: Any) -> AbstractContextManager[Path]:
        fetched.append(ref.path)
        return fetch(self, ref, **more)

    monkeypatch.setattr(Store, "fetch", noted)
    local = opened(settings_of(finished), tmp_path)
    remote = opened(settings_of(finished), tmp_path / "other", f"s3://{on_s3.root[5:]}")
    rows = rows_of(remote)
    assert rows == rows_of(local)
    row = next(row for row in rows if row["file"])
    readers = (AudioReader(states[0].store, audio_files(states)) for states in (local, remote))
    one, other = (reader.read(row["file"], row["row_group"], row["id"]) for reader in readers)
    assert one == other
    assert fetched and not [path for path in fetched if path in audio_files(remote)]


def test_parts_are_made_once(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    states = opened(settings_of(finished), scratch)
    first = rows_of(states)
    [*cached] = (scratch / "browse").glob("*.parquet")
    assert len(cached) == len(states[0].shards("train"))
    cached[0].write_bytes(b"damaged")
    made: list[ShardState] = []

    def counted(state: CorpusState, shard: ShardState) -> pa.Table:
        made.append(shard)
        return shard_part(state, shard)

    monkeypatch.setattr("flows.browse.index.shard_part", counted)
    assert rows_of(opened(settings_of(finished), scratch)) == first
    assert len(made) == 1
    assert {path.suffix for path in (scratch / "browse").iterdir()} == {".parquet"}


def test_the_filter_decides_as_it_is_configured_now(finished: Run, tmp_path: Path) -> None:
    run = copied(finished, tmp_path / "run")
    before = {row["id"]: row for row in rows_of(opened(settings_of(run), tmp_path / "one"))}
    kept = next(name for name, row in before.items() if row["outcome"] == "kept")
    marks = {"exclude": [kept]}
    changed = tiny(run.folder, filter={"max_wer_percent": 1000.0, "marks": marks})
    after = {row["id"]: row for row in rows_of(opened(settings_of(changed), tmp_path / "one"))}
    assert (after[kept]["outcome"], after[kept]["reason"]) == ("dropped", "excluded")
    assert "wer" not in {row["reason"] for row in after.values()}


def test_what_is_not_labelled_yet_is_waiting(finished: Run, tmp_path: Path) -> None:
    run = copied(finished, tmp_path / "run")
    for stage in ("label", "score", "filter"):
        for receipt in (run.root / stage).rglob("*.json"):
            receipt.unlink()
    rows = rows_of(opened(settings_of(run), tmp_path / "scratch"))
    waiting = [row for row in rows if row["outcome"] == "waiting"]
    assert waiting and {row["stage"] for row in waiting} == {"label"}
    assert all(row["file"] and row["label"] is None for row in waiting)


def test_nothing_is_known_before_a_plan(tmp_path: Path) -> None:
    assert rows_of(opened(settings_of(tiny(tmp_path)), tmp_path)) == []
