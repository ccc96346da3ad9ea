"""A copied root: its deliveries are hashed again, the rest is kept; until then commands say so."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from configs.load import load_config
from flows.state.corpus_state import corpus_states
from flows.state.publication import publish_manifest
from flows.state.status import relisted_advice
from storage.store import Store
from tasks.demo.formats.flac import flac_file
from tasks.demo.speech.utterances import pcm16, utterance
from tasks.download.raw import download
from tasks.stages import SHARD_STAGES
from tasks.work import run_job, run_plan
from tests.flows.running import TEACHER, Run

ADVICE = "the files of calls were copied or changed since they were hashed"
COMMAND = "`distillery run CONFIG --until download` hashes them again"


def make_all(run: Run) -> list[str]:
    """Make what is missing up to the filter, and say what it was."""
    config = load_config(run.config)
    store, made = Store(config.root), list[str]()
    for state in corpus_states(config, store):
        for key, part in state.downloads.missing().items():
            download(store, state.corpus, state.settings, part)
            made.append(f"download {key}")
    for state in corpus_states(config, store):
        for key, archives in state.unplanned_splits().items():
            run_plan(config, state.place("plan", key), archives)
            made.append(f"plan {key}")
    for stage in SHARD_STAGES:
        for state in corpus_states(config, store):
            for shard in state.pending(stage):
                run_job(config, state.job(shard, stage))
                made.append(f"{stage} {shard.key}")
    return made


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose speech lies beside its root, filtered and published; tests only copy it."""
    folder = tmp_path_factory.mktemp("whole")
    random = np.random.default_rng(3)
    for number in range(6):
        one = utterance(f"speaker {number}", random, None)
        audio = folder / "audio" / ("held" if number == 0 else "train") / f"{number}.flac"
        audio.parent.mkdir(parents=True, exist_ok=True)
        audio.write_bytes(flac_file(pcm16(one.samples), 16_000))
        audio.with_suffix(".txt").write_text(one.transcript)
    splits = {
        "train": {"files": ["train/*.flac"]},
        "held": {"files": ["held/*.flac"], "role": "test"},
    }
    settings = {
        "root": "calls-data",
        "corpora": {"calls": {"mirror": "audio", "local": {"splits": splits}}},
        "normalise": {"max_duration_s": 8.0},
        "label": {"teacher": {"path": str(TEACHER)}, "pack": "none", "temperatures": [0.0]},
        "filter": {"max_wer_percent": 0, "contamination": {}},
        "publish": {"name": "calls"},
    }
    run = Run(folder, folder / "calls.yaml")
    run.config.write_text(yaml.safe_dump(settings))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert len(make_all(run)) > len(SHARD_STAGES)
        assert make_all(run) == []
        publish_manifest(load_config(run.config), Store("calls-data"))
    return run


@pytest.fixture
def copy(whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    shutil.copytree(whole.folder, tmp_path, dirs_exist_ok=True, copy_function=shutil.copyfile)
    monkeypatch.chdir(tmp_path)
    return Run(tmp_path, tmp_path / "calls.yaml")


def rejected_reason(run: Run) -> str:
    lines = run.json("status")["stages"]
    [reason, *_] = [one for line in lines if line["stage"] == "filter" for one in line["dropped"]]
    return str(reason)


def test_commands_that_read_say_that_a_copy_has_to_be_hashed(whole: Run, copy: Run) -> None:
    reason = rejected_reason(whole)
    for words in (("sweep", "calls.yaml"), ("explain", "calls.yaml", "--reason", reason)):
        assert whole.here(*words).stderr == ""
        told = copy.here(*words, expect=2).stderr
        assert ADVICE in told and COMMAND in told
        assert len(told.splitlines()) == 1
    assert ADVICE in copy.here("status", "calls.yaml").stderr
    history = json.loads(copy.here("explain", "calls.yaml", "train/1", "--json").stdout)
    assert history["decision"]["outcome"] == "waiting"
    assert ADVICE in history["decision"]["detail"]


def test_a_copy_is_hashed_and_everything_is_kept(whole: Run, copy: Run) -> None:
    before = {
        path: path.read_bytes()
        for path in (copy.folder / "calls-data").rglob("*.*")
        if path.is_file()
    }
    assert make_all(copy) == ["download calls/archives/00000"]
    assert make_all(copy) == []
    assert all(path.read_bytes() == data for path, data in before.items())
    config = load_config(copy.config)
    assert publish_manifest(config, Store(config.root))[1] is False
    reason = rejected_reason(copy)
    for words in (
        ("status", "calls.yaml"),
        ("sweep", "calls.yaml"),
        ("explain", "calls.yaml", "--reason", reason),
        ("explain", "calls.yaml", "train/1"),
    ):
        found, expected = copy.here(*words), whole.here(*words)
        assert (found.stdout, found.stderr) == (expected.stdout, "")


def test_a_changed_file_of_a_copy_is_found(copy: Run) -> None:
    (copy.folder / "audio" / "train" / "9.flac").write_bytes(
        (copy.folder / "audio" / "train" / "1.flac").read_bytes()
    )
    (copy.folder / "audio" / "train" / "9.txt").write_text("one more")
    made = make_all(copy)
    assert made[0] == "download calls/archives/00000"
    assert "plan calls/train/00001" in made
    assert {"label calls/train/00001", "filter calls/train/00001"} <= set(made)
    assert not any(one.endswith("calls/train/00000") for one in made)


def test_nothing_is_advised_where_nothing_was_copied(whole: Run, tmp_path: Path) -> None:
    config = load_config(whole.config)
    empty = config.model_copy(update={"root": str(tmp_path / "empty")})
    assert relisted_advice(corpus_states(empty, Store(empty.root))) == ""
