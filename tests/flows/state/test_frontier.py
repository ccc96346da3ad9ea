"""What is ready in a store, and what each receipt opens."""

from pathlib import Path

import pytest
import yaml

from benchmarks.finished_shards import CORPUS, SPLIT, receipt_of, write_config, write_finished
from configs.load import load_config
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.frontier import Frontier, Unit
from storage.receipt import Receipt
from storage.stage import combined_digest
from storage.store import Store

NUM_SHARDS = 4


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, str(tmp_path / "root"))


def frontier(config: Path, until: str = "filter", **options) -> Frontier:
    settings = load_config(config)
    return Frontier(corpus_states(settings, Store(settings.root)), until, **options)


def names(units: list[Unit]) -> list[str]:
    return [f"{one.stage} {one.key}" for one in units]


def shards(stage: str) -> list[str]:
    return [f"{stage} {CORPUS}/{SPLIT}/{index:05d}" for index in range(NUM_SHARDS)]


def made(one: Unit) -> Receipt:
    receipt = receipt_of(one.place)
    if one.job is None:
        return receipt
    return receipt.model_copy(update={"source_digest": combined_digest(one.job.sources)})


def test_an_empty_store_has_its_downloads_ready(config: Path) -> None:
    found = frontier(config).start()
    assert [(one.stage, one.resource) for one in found] == [("download", "network www.openslr.org")]


def test_each_shard_is_ready_for_the_first_stage_that_it_lacks(config: Path) -> None:
    write_finished(config, NUM_SHARDS, last_stage="normalise")
    found = frontier(config).start()
    assert names(found) == shards("label")
    assert {one.resource for one in found} == {"device"}


def test_a_receipt_opens_the_next_stage_of_its_shard_alone(config: Path) -> None:
    write_finished(config, NUM_SHARDS, last_stage="normalise")
    ahead = frontier(config)
    second = ahead.start()[1]
    (opened,) = ahead.finished(second, made(second))
    assert names([opened]) == [f"score {CORPUS}/{SPLIT}/00001"]
    assert opened.job is not None
    assert set(opened.job.inputs) == {"plan", "normalise", "label"}
    (last,) = ahead.finished(opened, made(opened))
    assert names([last]) == [f"filter {CORPUS}/{SPLIT}/00001"]
    assert ahead.finished(last, made(last)) == []


def test_nothing_after_the_last_wanted_stage_is_given_out(config: Path) -> None:
    write_finished(config, NUM_SHARDS, last_stage="normalise")
    ahead = frontier(config, "label")
    first = ahead.start()[0]
    assert ahead.finished(first, made(first)) == []
    assert frontier(config, "normalise").start() == []


def test_a_stage_by_itself_gets_what_is_ready_for_it(config: Path) -> None:
    write_finished(config, NUM_SHARDS, last_stage="label")
    settings = load_config(config)
    state = CorpusState.open(settings, CORPUS)
    assert names(Frontier([state], "score", ["score"]).start()) == shards("score")
    assert Frontier([state], "filter", ["filter"]).start() == []


def test_a_unit_is_given_out_once(config: Path) -> None:
    write_finished(config, NUM_SHARDS, last_stage="normalise")
    ahead = frontier(config)
    units = ahead.start()
    assert ahead.start() == []
    given = {(one.stage, one.key) for one in units[:3]}
    assert names(frontier(config, given=given).start()) == shards("label")[3:]


def test_a_lane_may_open_as_long_as_an_earlier_stage_is_under_way(config: Path) -> None:
    write_finished(config, 1, last_stage="normalise")
    ahead = frontier(config)
    (unit,) = ahead.start()
    assert ahead.may_open(CORPUS, "filter")
    assert not ahead.may_open(CORPUS, "normalise")
    ahead.failed(unit)
    assert not ahead.may_open(CORPUS, "filter")


def with_contamination(config: Path) -> Path:
    settings = yaml.safe_load(config.read_text())
    settings["corpora"][CORPUS]["splits"] = [SPLIT, "test-clean"]
    settings["filter"] = {"contamination": {"audio": False}}
    config.write_text(yaml.safe_dump(settings))
    return config


def test_contamination_waits_for_all_evaluation_speech(config: Path) -> None:
    with_contamination(config)
    write_finished(config, NUM_SHARDS, last_stage="score")
    ahead = frontier(config)
    assert {one.stage for one in ahead.start()} == {"download"}
    assert ahead.may_open(CORPUS, "filter")
    reasons = {reason for _, _, reason in ahead.blocked()}
    assert len(list(ahead.blocked())) == NUM_SHARDS
    assert all("needs all evaluation speech" in reason for reason in reasons)
