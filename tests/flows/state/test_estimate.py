"""What a run would process, estimated from published figures before a download, or from a plan."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from configs.load import load_config
from configs.schema import RunConfig
from flows.state.estimate import WINDOWS_PER_S, Estimate, estimate, total
from flows.state.windows import TYPICAL_FILL, WHISPER_WINDOW_S
from storage.store import Store
from tasks.corpora.registry import CORPORA
from tests.flows.running import REPOSITORY, TEACHER, Run

approx = pytest.approx

HUB_TEACHER = {"hub": "openai/whisper-large-v2", "revision": "0123456789" * 4}


def estimates(corpora: dict[str, Any], **blocks: Any) -> dict[str, Estimate]:
    """The estimates of a configuration on an empty root, by corpus."""
    config = RunConfig.model_validate(
        {
            "root": f"memory://{uuid4().hex}",
            "corpora": corpora,
            "label": {"teacher": HUB_TEACHER},
            "publish": {"name": "told"},
            **blocks,
        }
    )
    return {one.corpus: one for one in estimate(config, Store(config.root))}


def test_hours_are_those_of_the_chosen_splits() -> None:
    one = estimates({"librispeech": {"splits": ["train-clean-100", "dev-clean"]}})["librispeech"]
    assert (one.hours, one.held_out_hours) == approx((100.6, 5.4))
    assert one.basis == "published"
    assert one.windows == approx(100.6 * 3600 / (TYPICAL_FILL * WHISPER_WINDOW_S), abs=1)
    assert one.gpu_hours == approx(one.windows / WINDOWS_PER_S / 3600)
    to_do = {"normalise": 14, "label": 13, "score": 13, "index": 0, "filter": 13}
    assert one.shards_to_do == to_do


def test_without_packing_each_utterance_is_a_window() -> None:
    alone = {"teacher": HUB_TEACHER, "pack": "none"}
    one = estimates({"librispeech": {"splits": ["train-clean-100"]}}, label=alone)["librispeech"]
    assert one.windows == approx(100.6 * 3600 / 12.1, abs=1)


def test_a_teacher_with_a_short_window_has_more_windows() -> None:
    short = {"teacher": {"path": str(TEACHER)}}
    settings = {"librispeech": {"splits": ["train-clean-100"], "limit_hours": 10}}
    windows = estimates(settings, label=short)["librispeech"].windows
    # 8 s is less than a mean utterance of LibriSpeech: there are never more windows
    assert windows == approx(10 * 3600 / 12.1, abs=1)
    fisher = estimates({"fisher": {"mirror": "nowhere", "limit_hours": 10}}, label=short)["fisher"]
    assert fisher.windows == approx(10 * 3600 / (TYPICAL_FILL * 8), abs=1)


@pytest.mark.parametrize(
    ("columns", "pack", "is_packed"),
    [
        ({"speaker": "who"}, "speaker", True),
        ({"recording": "tape"}, "speaker", True),
        ({"start_s": "from"}, "speaker", True),
        ({}, "speaker", False),
        ({}, "any", True),
        ({"speaker": "who"}, "none", False),
    ],
)
def test_utterances_share_windows_where_their_voices_are_known(
    columns: dict[str, str], pack: str, is_packed: bool
) -> None:
    local = {"splits": {"train": {"files": ["*.jsonl"]}}, "hours": 20, "columns": columns}
    label = {"teacher": HUB_TEACHER, "pack": pack}
    one = estimates({"own": {"mirror": "nowhere", "local": local}}, label=label)["own"]
    window_s = TYPICAL_FILL * WHISPER_WINDOW_S if is_packed else 10.0
    assert one.windows == approx(20 * 3600 / window_s, abs=1)


def test_a_limit_is_one_for_each_split() -> None:
    settings = {"splits": ["train-clean-100", "train-clean-360", "dev-clean"], "limit_hours": 10}
    one = estimates({"librispeech": settings}, plan={"target_shard_hours": 4})["librispeech"]
    assert (one.hours, one.held_out_hours) == approx((20, 5.4))
    assert one.shards == 3 + 3 + 2


def test_published_sizes_are_taken_where_all_are_known() -> None:
    one = estimates({"librispeech": {"splits": ["train-clean-100", "dev-clean"]}})["librispeech"]
    raw = (6_387_309_499 + 337_926_286) / 1e12
    assert one.terabytes_to_download == approx(raw)
    assert not one.is_size_estimated
    assert one.terabytes_to_keep == approx(raw + 106 * 60e6 / 1e12)
    assert one.terabytes_to_write == one.terabytes_to_keep
    assert one.files_to_download == 2


def test_a_share_of_the_published_size_is_that_of_the_hours() -> None:
    one = estimates({"librispeech": {"splits": ["train-other-500"]}})["librispeech"]
    corpus = CORPORA["librispeech"][""]
    share = 496.7 / sum(corpus.hours.values())
    assert one.terabytes_to_download == approx((corpus.distributed_gb or 0) * share / 1e3)


def test_an_archive_of_all_splits_is_downloaded_whole() -> None:
    some, whole = (
        estimates({"tedlium": settings})["tedlium"] for settings in ({"splits": ["dev"]}, {})
    )
    assert some.terabytes_to_download == whole.terabytes_to_download > 0
    assert (some.hours, some.gpu_hours, some.shards_to_do["label"]) == (0, 0, 0)


def test_a_delivery_is_not_downloaded(tmp_path: Path) -> None:
    one = estimates({"fisher": {"mirror": str(tmp_path)}})["fisher"]
    assert one.terabytes_to_download == 0
    assert one.terabytes_to_keep == approx((one.hours + one.held_out_hours) * 60e6 / 1e12)


def test_the_files_of_the_hub_are_not_counted_before_they_are_listed() -> None:
    one = estimates({"peoples_speech": {"form": "hub"}})["peoples_speech"]
    assert (one.files_to_download, one.has_unlisted_files) == (1, True)
    pilot = estimates({"peoples_speech": {"form": "hub", "limit_hours": 10}})["peoples_speech"]
    assert pilot.terabytes_to_download < one.terabytes_to_download / 100


def test_a_local_corpus_has_the_configured_hours(tmp_path: Path) -> None:
    splits = {"train": {"files": ["*.wav"]}}
    found = estimates(
        {
            "stated": {"mirror": str(tmp_path), "local": {"splits": splits, "hours": 20}},
            "silent": {"mirror": str(tmp_path), "local": {"splits": splits}},
        }
    )
    assert found["stated"].basis == "as configured"
    assert found["stated"].hours == approx(20)
    assert (found["silent"].hours, found["silent"].basis) == (0, "not known")
    assert found["silent"].shards == 0


def test_synthetic_speech_has_no_published_hours() -> None:
    made = {"folder": "unused", "num_train_utterances": 720, "num_eval_utterances": 36}
    one = estimates({"librispeech": {}}, synthetic=made)["librispeech"]
    assert one.basis == "made up here"
    assert (one.hours, one.held_out_hours) == approx((0.7, 0.07))
    assert one.is_size_estimated


def test_the_paper_s_recipe_has_the_hours_of_the_catalogue() -> None:
    config = load_config(REPOSITORY / "configs" / "full.yaml")
    here = config.model_copy(update={"root": f"memory://{uuid4().hex}"})
    found = estimate(here, Store(here.root))
    everything = total(found)
    assert len(found) == len(config.corpora) == 9
    assert everything.hours == approx(sum(one.hours for one in found))
    assert everything.windows == sum(one.windows for one in found)
    assert everything.gpu_hours == approx(everything.windows / WINDOWS_PER_S / 3600)
    # 12,000 of these are The People's Speech, of which the Hub has fewer
    assert 21_000 <= (everything.paper_hours or 0) <= 22_500
    others = [one for one in found if one.corpus != "peoples_speech"]
    paper_hours = sum(one.paper_hours or 0 for one in others)
    assert sum(one.hours for one in others) == approx(paper_hours, rel=0.02)


def test_a_plan_is_exact_and_finished_work_is_not_counted(finished: Run) -> None:
    [one] = finished.json("run", "--plan")["corpora"]
    lines = finished.json("status")["stages"]
    planned = {line["split"]: line for line in lines if line["stage"] == "plan"}
    train = [line["hours"] for split, line in planned.items() if "train" in split]
    assert one["basis"] == "planned"
    assert one["hours"] == approx(sum(train))
    assert one["hours"] + one["held_out_hours"] == approx(
        sum(line["hours"] for line in planned.values())
    )
    [labelled] = [line for line in lines if line["stage"] == "label"]
    assert one["windows"] == labelled["num_windows"] > 0
    assert 0 < labelled["window_fill"] <= 1
    assert not any(one["shards_to_do"].values())
    assert one["gpu_hours"] == one["files_to_download"] == one["terabytes_to_write"] == 0


def test_the_plan_is_printed_with_its_sum(finished: Run) -> None:
    text = finished.run("--plan").stdout
    assert "in all" in text
    assert "planned" in text
    assert "Nothing was run." in text
    both = json.loads(finished.run("--plan", "--json").stdout)
    assert both.keys() == {"corpora", "total", "training"}


@pytest.mark.parametrize("name", ["demo", "laptop", "librispeech", "medium.en", "paper", "tiny"])
def test_every_configuration_can_be_estimated(name: str) -> None:
    config = load_config(REPOSITORY / "configs" / f"{name}.yaml")
    here = config.model_copy(update={"root": f"memory://{uuid4().hex}"})
    assert total(estimate(here, Store(here.root))).hours > 0
