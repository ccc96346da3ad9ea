"""Untranscribed recordings become labelled windows; docs/own-audio.md is correct."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml
from pydantic import ValidationError

from configs.load import load_config
from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState
from flows.state.publication import publish_manifest
from storage.receipt import Receipt
from storage.store import Store
from tasks.corpora.registry import corpus_of_run
from tasks.demo.speech.utterances import pcm16, utterance
from tasks.download.raw import download
from tasks.work import run_job, run_plan

REPOSITORY = Path(__file__).parents[2]
TEACHER = REPOSITORY / "tasks" / "demo" / "teacher"
PAGE = (REPOSITORY / "docs" / "own-audio.md").read_text()
CONFIGURATIONS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
RATE_HZ = 16_000
NUM_SENTENCES = 4

Pcm = npt.NDArray[np.int16]


@pytest.mark.parametrize("text", CONFIGURATIONS, ids=["alone", "with held-out speech"])
def test_each_configuration_of_the_page_can_be_loaded(tmp_path: Path, text: str) -> None:
    file = tmp_path / "shown.yaml"
    file.write_text(text)
    config = load_config(file)
    assert config.normalise.segment == "vad"
    assert all(corpus_of_run(config, name).splits for name in config.corpora)


def test_the_page_shows_the_defaults() -> None:
    shown = RunConfig.model_validate(yaml.safe_load(CONFIGURATIONS[0]))
    bare = RunConfig.model_validate(yaml.safe_load(CONFIGURATIONS[1]))
    assert (shown.normalise, shown.filter) == (bare.normalise, bare.filter)


def test_every_reason_of_the_page_is_one_that_the_filter_gives() -> None:
    from tasks.filter.without_reference import rules_without_reference

    shown = RunConfig.model_validate(yaml.safe_load(CONFIGURATIONS[0])).filter.without_reference
    rows = [line.split("|") for line in PAGE.splitlines() if line.startswith("| `")]
    keys = {key for row in rows for key in re.findall(r"`(\w+)`", row[1])}
    assert keys == set(type(shown).model_fields)
    told = {reason for row in rows for reason in re.findall(r"`(\w+)`", row[2])}
    assert told == {rule.reason for rule in rules_without_reference(shown)}


def hush(seconds: float) -> Pcm:
    random = np.random.default_rng(0)
    return random.integers(-8, 8, round(seconds * RATE_HZ)).astype(np.int16)


def talk(speaker: str, seed: int) -> Pcm:
    """Sentences of one speaker with pauses of 2 s around them."""
    random = np.random.default_rng(seed)
    parts = [hush(2)]
    for _ in range(NUM_SENTENCES):
        parts += [pcm16(0.5 * utterance(speaker, random, None).samples), hush(2)]
    return np.concatenate(parts)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "tapes").mkdir()
    soundfile.write(folder / "tapes" / "ann.wav", talk("ann", 1), RATE_HZ)
    sides = [talk("bob", 2), talk("eve", 3)]
    length = max(map(len, sides))
    both = np.stack([np.pad(side, (0, length - len(side))) for side in sides], axis=1)
    soundfile.write(folder / "call.wav", both, RATE_HZ)
    soundfile.write(folder / "silence.wav", hush(20), RATE_HZ)
    return folder


@pytest.fixture(scope="module")
def config(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    settings = yaml.safe_load(CONFIGURATIONS[0])
    settings["root"] = str(tmp_path_factory.mktemp("root"))
    settings["corpora"]["calls"]["mirror"] = str(recordings)
    settings["normalise"]["max_duration_s"] = 8.0  # what the small teacher hears at once
    settings["label"] |= {"teacher": {"path": str(TEACHER)}, "pack": "none"}
    return RunConfig.model_validate(settings)


@pytest.fixture(scope="module")
def receipts(config: RunConfig) -> Mapping[str, Receipt]:
    """The receipt of each stage for the one shard of the recordings."""
    state = CorpusState.open(config, "calls")
    for part in state.downloads.missing().values():
        download(state.store, state.corpus, state.settings, part)
    [(key, archives)] = CorpusState.open(config, "calls").unplanned_splits().items()
    run_plan(config, state.place("plan", key), archives)
    for stage in CorpusState.open(config, "calls").stages("train"):
        [shard] = CorpusState.open(config, "calls").shards()
        assert shard.next_stage == stage
        run_job(config, state.job(shard, stage))
    [shard] = CorpusState.open(config, "calls").shards()
    return shard.receipts


def table(config: RunConfig, receipt: Receipt) -> pa.Table:
    with Store(config.root).fetch(receipt.output) as path:
        return pq.read_table(path)


def test_recordings_become_speech_segments(
    config: RunConfig, receipts: Mapping[str, Receipt]
) -> None:
    counts = receipts["normalise"].counts
    assert counts.dropped == {"no_speech": 1, "segmented": 2}
    assert (counts.rows_in, counts.created, counts.rows_out) == (3, 12, 12)
    rows = table(config, receipts["normalise"]).to_pylist()
    told = {(row["recording_id"], row["speaker_id"]) for row in rows}
    assert told == {("call", "call-A"), ("call", "call-B"), ("tapes/ann", None)}


def test_labels_that_look_right_are_kept(
    config: RunConfig, receipts: Mapping[str, Receipt]
) -> None:
    evidence = table(config, receipts["score"])
    assert evidence.column("num_reference_words").to_pylist() == [0] * 12
    kept = table(config, receipts["filter"])
    assert 6 <= kept.num_rows <= 12
    dropped = receipts["filter"].counts.dropped
    assert dropped.keys() <= {"no_speech", "repetition", "speech_rate", "low_confidence"}
    rows = {row["window_id"]: row for row in evidence.to_pylist()}
    assert all(
        rows[name]["avg_logprob"] >= config.filter.without_reference.min_avg_logprob
        for name in kept.column("window_id").to_pylist()
    )


def test_kept_labels_match_the_speech(config: RunConfig, receipts: Mapping[str, Receipt]) -> None:
    from tasks.demo.speech.grammar import vocabulary

    labels = table(config, receipts["label"])
    texts: list[Any] = labels.column("pseudo_text").to_pylist()
    words = [word.strip(".,?!").lower() for text in texts for word in text.split()]
    assert len(words) >= 2 * len(texts)
    assert sum(word in vocabulary() for word in words) > 0.9 * len(words)


def test_a_manifest_can_be_published(config: RunConfig, receipts: Mapping[str, Receipt]) -> None:
    published, is_new = publish_manifest(config, Store(config.root))
    assert is_new
    assert published.totals["calls"].windows == receipts["filter"].output.num_rows
    assert published.totals["calls"].dropped["segmented"] == 2


def test_a_run_that_would_drop_all_labels_is_refused() -> None:
    settings = yaml.safe_load(CONFIGURATIONS[1])
    settings["filter"] = {}
    with pytest.raises(
        ValidationError, match=r"corpora\.calls has no transcripts.*drop_empty_reference"
    ):
        RunConfig.model_validate(settings)
