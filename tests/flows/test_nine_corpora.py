"""The nine corpora in their distribution formats, small: every rejected row is expected."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.flows.running import REPOSITORY, TEACHER, Run

STATED: dict[str, dict[str, int]] = {
    # stages up to normalise; what the rules of texts drop is dropped by `score`
    "peoples_speech": {"too_long": 1, "unreadable_audio": 2},
    "gigaspeech": {"too_long": 1, "no_audio": 1, "unreadable_audio": 1, "beyond_the_end": 1},
    "common_voice": {"too_long": 1, "no_audio": 1, "unreadable_audio": 1},
    "librispeech": {"too_long": 1, "no_audio": 1, "unreadable_audio": 1},
    "voxpopuli": {"too_long": 1, "no_audio": 1, "unreadable_audio": 1, "not_in_a_split": 1},
    "tedlium": {"not_scored": 9, "no_audio": 1, "unreadable_audio": 15},
    "fisher": {"too_long": 1, "no_audio": 1, "unreadable_audio": 1},
    "switchboard": {"too_long": 1, "no_audio": 1, "unreadable_audio": 1, "silence": 53},
    "ami": {
        "too_long": 2,
        "no_audio": 1,
        "unreadable_audio": 1,
        "no_words": 2,
        "reversed_times": 2,
    },
}


@pytest.fixture(scope="module")
def nine(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The configuration of the demo with fewer utterances, run up to normalise."""
    folder = tmp_path_factory.mktemp("nine")
    settings = yaml.safe_load((REPOSITORY / "configs" / "demo.yaml").read_text())
    settings["synthetic"] |= {"num_train_utterances": 30, "num_eval_utterances": 3}
    settings["label"]["teacher"]["path"] = str(TEACHER)
    settings["runtime"]["max_quarantined_percent"] = 60
    (folder / "nine.yaml").write_text(yaml.safe_dump(settings))
    run = Run(folder, folder / "nine.yaml")
    run.run("--until", "normalise")
    return run


def normalised(run: Run) -> Iterator[dict[str, Any]]:
    for line in run.json("status")["stages"]:
        if line["stage"] in ("download", "plan", "normalise"):
            yield line


def test_nine_corpora_are_downloaded_planned_and_normalised(nine: Run) -> None:
    lines = list(normalised(nine))
    assert {line["corpus"] for line in lines} == set(STATED)
    for line in lines:
        assert line["shards"]["done"] > 0
        assert line["shards"]["missing"] == line["shards"]["failed"] == 0
        rejected = sum(line["dropped"].values()) + sum(line["quarantined"].values())
        assert line["rows_in"] + line["created"] == line["rows_out"] + rejected


def test_every_rejected_row_has_the_expected_reason(nine: Run) -> None:
    found: dict[str, Counter[str]] = {corpus: Counter() for corpus in STATED}
    for line in normalised(nine):
        found[line["corpus"]].update(line["dropped"])
        found[line["corpus"]].update(line["quarantined"])
    assert {corpus: dict(counts) for corpus, counts in found.items()} == STATED


def receipts(run: Run, stage: str) -> dict[str, bytes]:
    found = (run.folder / "demo-data" / stage).rglob("*.receipt.json")
    return {str(path): path.read_bytes() for path in found}


def test_adding_a_corpus_moves_no_shard_of_the_others(nine: Run) -> None:
    before = {stage: receipts(nine, stage) for stage in ("raw", "plan", "normalise")}
    settings = yaml.safe_load(nine.config.read_text())
    settings["corpora"]["spoken"] = {
        "mirror": "demo-data/synthetic/gigaspeech",
        "local": {"splits": {"train": {"files": ["audio/*.opus"]}}},
    }
    for path in (nine.folder / "demo-data/synthetic/gigaspeech/audio").rglob("*.opus"):
        path.with_suffix(".txt").write_text("what is said in it")
    nine.config.write_text(yaml.safe_dump(settings))
    nine.run("--until", "normalise")
    after = {stage: receipts(nine, stage) for stage in ("raw", "plan", "normalise")}
    for stage, kept in before.items():
        assert kept.items() <= after[stage].items()
    assert len(after["plan"]) > len(before["plan"])
