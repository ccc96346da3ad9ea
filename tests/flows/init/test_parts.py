"""The pure parts of `distillery init`: sizes of trainings, shares, splits, columns."""

import doctest
from types import ModuleType

import pytest

from configs.schema import Columns, LocalSplit
from flows.init import columns, configuration, durations, folder, splits, training
from flows.init.held_out import hold_out
from flows.init.source import Source, Speech
from flows.init.splits import splits_of_audio, splits_of_tables
from flows.init.training import plan_training
from tasks.corpora.base import split_by_hash


@pytest.mark.parametrize("module", [columns, configuration, durations, folder, splits, training])
def test_the_doctests_hold(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.failed == 0
    assert found.attempted > 0


@pytest.mark.parametrize("hours", [0.01, 0.5, 3, 30, 300, 3_000, 22_000])
def test_a_training_stays_between_its_bounds(hours: float) -> None:
    plan = plan_training(hours, 25.0)
    assert 4 <= plan.batch_size <= 256
    assert 1 <= plan.num_steps <= 80_000
    assert 0 < plan.num_warmup_steps <= min(500, max(1, plan.num_steps // 10 + 1))
    assert plan.evaluate_every_steps <= plan.num_steps
    if hours <= 22_000:
        assert plan.num_epochs >= 6
    if hours >= 3:
        assert plan.num_steps >= 1_000
        assert plan.num_epochs <= 51


def test_more_hours_never_mean_fewer_updates() -> None:
    plans = [plan_training(hours, 25.0) for hours in (1, 3, 10, 30, 100, 1_000, 10_000)]
    assert plans == sorted(plans, key=lambda plan: (plan.batch_size, plan.num_steps))


def test_the_papers_set_gets_the_papers_training() -> None:
    plan = plan_training(21_770, 27.5)
    assert (plan.batch_size, plan.num_steps) == (256, 80_000)
    assert (plan.num_warmup_steps, plan.evaluate_every_steps) == (500, 5_000)


@pytest.mark.parametrize(
    ("hours", "of_teacher", "expected"),
    [
        (10, 2, None),
        (10, 4, 3),
        (10, 6, 4),
        (10, 12, 8),
        (10, 32, None),
        (10, None, None),
        (21_770, 6, None),
    ],
)
def test_more_layers_are_kept_where_speech_is_scarce(
    hours: float, of_teacher: int | None, expected: int | None
) -> None:
    assert plan_training(hours, 25.0).num_decoder_layers(of_teacher) == expected


def source(num_speakers: int, total: float = 10.0, **changes: object) -> Source:
    each_s = 3600 * total / num_speakers
    values = {
        "name": "own",
        "title": "own",
        "splits": {"train": LocalSplit(files=("all.jsonl",))},
        "columns": Columns(speaker="speaker"),
        "hours": {"train": total},
        "basis": "durations",
        "num_rows": num_speakers,
        "train": tuple(Speech(f"s{number}", each_s) for number in range(num_speakers)),
    }
    return Source(**{**values, **changes})


@pytest.mark.parametrize("num_speakers", [3, 4, 10, 28, 125, 2_000])
def test_a_share_is_the_smallest_that_holds_enough(num_speakers: int) -> None:
    parts = hold_out(source(num_speakers))
    assert list(parts.splits) == ["dev", "test", "train"]
    assert parts.splits["train"].percent is None
    by_split = [
        split_by_hash(f"s{number}", parts.percents, "train") for number in range(num_speakers)
    ]
    for name in ("dev", "test"):
        assert parts.hours[name] == pytest.approx(10 * by_split.count(name) / num_speakers)
    assert all(by_split.count(name) > 0 for name in parts.splits)
    if num_speakers >= 28:
        assert all(0.4 <= parts.hours[name] <= 0.8 for name in parts.percents)


def test_much_speech_holds_out_no_more_than_is_useful() -> None:
    parts = hold_out(source(5_000, total=1_000.0))
    assert all(3 <= parts.hours[name] <= 10 for name in parts.percents)
    unread = hold_out(source(1, total=1_000.0, train=(), num_rows=None))
    assert unread.percents == {"dev": 0.5, "test": 0.5}


def test_only_the_part_that_is_missing_is_held_out() -> None:
    split = LocalSplit(files=("dev.jsonl",), role="test")
    given = {"dev": split, "train": LocalSplit(files=("all.jsonl",))}
    parts = hold_out(source(50, splits=given, hours={"dev": 1.0, "train": 10.0}))
    assert list(parts.splits) == ["dev", "held-out-dev", "train"]
    assert parts.splits["held-out-dev"].role == "validation"
    assert parts.hours["dev"] == 1.0
    assert sum(parts.hours.values()) == pytest.approx(11.0)


def test_without_texts_nothing_is_held_out() -> None:
    assert hold_out(source(50, columns=Columns(text=None))).percents == {}


def test_splits_are_found_by_whole_words_of_paths() -> None:
    tables = ["en/train/0000.parquet", "en/train/0001.parquet", "en/test/0000.parquet"]
    assert {name: split.files for name, split in splits_of_tables(tables).items()} == {
        "test": ("en/test/*.parquet",),
        "train": ("en/train/*.parquet",),
    }
    audio = ["latest/contest.wav", "devices/1.wav"]
    assert {name: split.files for name, split in splits_of_audio(audio).items()} == {
        "train": ("*.wav",)
    }
    many = [f"part{number}/table.jsonl" for number in range(50)]
    assert len(splits_of_tables(many)["train"].files) == 50
