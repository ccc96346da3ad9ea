"""Thousands of shards: parted over flow runs, each task recorded, and told from few files."""

import json
import subprocess
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest

from benchmarks.finished_shards import write_config, write_finished
from storage.receipt import Receipt
from storage.receipts import summarise_all
from storage.store import Store
from tests.flows.running import REPOSITORY, Run, tiny
from tests.processes import environment

NUMBERS = (11, 222)


@pytest.mark.slow
def test_each_task_of_each_part_is_recorded() -> None:
    command = [sys.executable, "-m", "benchmarks.orchestration", "--only", "350", "--most", "150"]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment(), check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    assert found["num_recorded"] == found["num_shards"] == 350
    assert found["num_flow_runs"] == 1 + 3


@pytest.mark.slow
def test_a_shard_that_fails_stops_no_other_part(tmp_path: Path) -> None:
    run = tiny(tmp_path, runtime={"tasks_per_flow_run": 1})
    run.run("--until", "normalise")
    unreadable_from_the_start(run.root / "normalise")
    failed = run.run("--until", "filter", expect=1).stderr
    assert "failed: label librispeech/train-clean-100/00000" in failed
    assert "00001" not in failed
    labels = [json.loads(receipt)["key"] for receipt in run.receipts("label").values()]
    assert "librispeech/train-clean-100/00001" in labels
    assert "librispeech/train-clean-100/00000" not in labels


def unreadable_from_the_start(stage: Path) -> None:
    """The first training shard is no table, as its receipt says; so nothing can repair it."""
    [path] = stage.rglob("train-clean-100/00000.*.receipt.json")
    receipt = Receipt.parse(path.read_bytes(), path.name)
    table = stage.parent / receipt.output.path
    table.write_bytes(b"no table")
    output = {"sha256": sha256(b"no table").hexdigest(), "size_bytes": len(b"no table")}
    changed = receipt.model_copy(update={"output": receipt.output.model_copy(update=output)})
    path.write_bytes(changed.encode())


@pytest.mark.parametrize("words", [["status", "--json"], ["run", "--until", "filter"]])
def test_what_is_done_is_told_from_few_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    read, reads = Store.read, Counter[int]()

    def counting(store: Store, path: str, *range: int | None) -> bytes:
        reads[num_shards] += 1
        return read(store, path, *range)

    for num_shards in NUMBERS:
        run = finished_shards(tmp_path / str(num_shards), num_shards)
        monkeypatch.setattr(Store, "read", counting)
        done = run.here(words[0], run.config.name, *words[1:])
        monkeypatch.undo()
        assert str(num_shards) in done.stdout
        assert not (run.folder / ".prefect").exists(), "a server was started to do nothing"
    assert reads[NUMBERS[0]] == reads[NUMBERS[1]] > 0


def finished_shards(folder: Path, num_shards: int) -> Run:
    """The configuration of a root in which so many shards are done and summarised."""
    folder.mkdir()
    config = write_config(folder, str(folder / "root"))
    write_finished(config, num_shards)
    store = Store(str(folder / "root"))
    summarise_all(store, {path.rpartition("/")[0] for path in store.list("")})
    return Run(folder, config)
