"""What is ready in a store, and what each receipt opens."""

from pathlib import Path

import pytest
import yaml

from benchmarks.finished_shards import CORPUS, SPLIT, receipt_of, write_config, write_finished
from configs.load import load_config
from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.frontier import Frontier, Unit
from storage.errors import IntegrityError
from storage.receipt import Receipt
from storage.receipts import Split
from storage.shard import ShardKey
from storage.stage import Place, combined_digest
from storage.store import Store
from tasks.corpora.sources import HubFiles
from tasks.download.fetch import Digest
from tasks.download.hub import HubFile
from tasks.download.parts import ARCHIVES, Downloads, Part
from tests.flows.running import TEACHER

NUM_SHARDS = 4
DIGEST = Digest(algorithm="sha256", hexadecimal="0" * 64)


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


def hub_state(tmp_path: Path, num_files: int, num_here: int) -> CorpusState:
    """A corpus of Parquet files on the Hub, of which the first `num_here` are downloaded."""
    source = HubFiles(repo="o/d", revision="main", patterns={"train": ("*.parquet",)})
    settings = RunConfig.model_validate(
        {
            "root": str(tmp_path / "root"),
            "corpora": {
                "hub": {"local": {"hub": "o/d", "splits": {"train": {"files": ["*.parquet"]}}}}
            },
            "label": {"teacher": {"path": str(TEACHER)}},
            "publish": {"name": "hub"},
        }
    )
    state = CorpusState.open(settings, "hub")
    listing = Part(key=ShardKey("hub", ARCHIVES, 0), name="listing.json", source=source)
    files = [
        Part(
            key=ShardKey("hub", ARCHIVES, number), name=f"{number}.parquet", source=source,
            splits=("train",), file=HubFile(path=f"{number}.parquet", size_bytes=1, digest=DIGEST),
        )
        for number in range(1, num_files + 1)
    ]  # fmt: skip
    parts = {part.key: part for part in (listing, *files)}
    receipts = {key: downloaded(key) for key in list(parts)[: num_here + 1]}
    state.downloads = Downloads(parts, receipts, ())
    return state


def downloaded(key: ShardKey) -> Receipt:
    receipt = receipt_of(Place(stage="download", fingerprint="r", key=key))
    output = receipt.output.model_copy(update={"sha256": f"{key.index:064d}"})
    return receipt.model_copy(update={"key": key, "output": output})


def planned_files(state: CorpusState) -> list[int]:
    return [one.key.index for files in state.unplanned_splits().values() for one in files]


@pytest.mark.parametrize(("num_here", "files"), [(0, []), (1, [0, 1]), (3, [0, 1, 2, 3])])
def test_files_of_the_hub_are_planned_as_they_arrive(
    tmp_path: Path, num_here: int, files: list[int]
) -> None:
    assert planned_files(hub_state(tmp_path, 8, num_here)) == files


def test_each_part_of_a_plan_takes_as_many_files_as_all_before_it(tmp_path: Path) -> None:
    for num_here, files in [(3, []), (4, [0, 3, 4]), (5, [0, 3, 4, 5]), (8, [0, *range(3, 9)])]:
        state = hub_state(tmp_path, 8, num_here)
        state.split = lambda stage, split: Split((part_of_plan(0, 0, 1, 2),), ())
        assert planned_files(state) == files


def part_of_plan(index: int, *files: int) -> Receipt:
    place = Place(stage="plan", fingerprint="f", key=ShardKey("hub", "train", index))
    sources = tuple(f"{number:064d}" for number in files)
    return receipt_of(place).model_copy(update={"sources": sources})


def test_a_missing_part_of_a_plan_is_made_of_what_it_was_made_of(tmp_path: Path) -> None:
    whole = [part_of_plan(0, 0, 1), part_of_plan(1, 0, 2), part_of_plan(2, 0, 3, 4)]
    for missing, files in [(0, [0, 1]), (1, [0, 2]), (2, [0, 3, 4, 5, 6])]:
        state = hub_state(tmp_path, 8, 6)  # the last two files are new
        others = tuple(part for part in whole if part.key.index != missing)
        state.split = lambda stage, split, parts=others: Split(parts, ())
        assert list(state.unplanned_splits()) == [ShardKey("hub", "train", missing)]
        assert planned_files(state) == files
        assert len(state.plan_receipts("train")) == missing


def test_a_plan_cannot_go_on_after_a_missing_part_of_files_read_together(config: Path) -> None:
    state = CorpusState.open(load_config(config), CORPUS)
    key = ShardKey(CORPUS, SPLIT, 1)
    state.split = lambda stage, split: Split((receipt_of(state.place("plan", key)),), ())
    with pytest.raises(IntegrityError, match="whose part 00000 is missing") as refused:
        state.unplanned_splits()
    assert refused.value.path.startswith(f"{state.place('plan', key).folder}/00001.")


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


def test_training_data_is_complete_before_evaluation_speech_is(config: Path) -> None:
    settings = yaml.safe_load(config.read_text())
    settings["corpora"][CORPUS]["splits"] = [SPLIT, "test-clean"]
    config.write_text(yaml.safe_dump(settings))
    write_finished(config, NUM_SHARDS, last_stage="score")
    ahead = frontier(config)
    units = ahead.start()
    last_stage = [one for one in units if one.stage == "filter"]
    assert {one.stage for one in units} == {"download", "filter"}
    for one in last_stage:
        assert not ahead.is_training_complete
        ahead.finished(one, made(one))
    assert ahead.is_training_complete
    assert ahead.may_open(CORPUS, "normalise")


def test_training_data_with_a_failed_shard_is_not_complete(config: Path) -> None:
    write_finished(config, 1, last_stage="score")
    ahead = frontier(config)
    (unit,) = ahead.start()
    ahead.failed(unit)
    assert not ahead.is_training_complete
