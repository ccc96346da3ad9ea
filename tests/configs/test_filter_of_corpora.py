"""The filter of a corpus overrides that of the run, key by key."""

from pathlib import Path

import pytest
import yaml

from configs.load import ConfigError, load_config
from configs.schema import Contamination, Filter, Hallucination, RunConfig
from configs.settings import merged
from tasks.corpora.registry import corpus_of_run
from tasks.stages import fingerprints

TEACHER = str(Path(__file__).parents[2] / "tasks" / "demo" / "teacher")


def loaded(folder: Path, common: dict, **own: dict) -> RunConfig:
    corpora: dict[str, dict] = {"librispeech": {}, "tedlium": {}}
    for name, values in own.items():
        corpora[name]["filter"] = values
    value = {
        "root": "data",
        "corpora": corpora,
        "label": {"teacher": {"path": TEACHER}},
        "filter": common,
        "publish": {"name": "x"},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(value))
    return load_config(folder / "run.yaml")


def test_a_corpus_overrides_the_filter_of_the_run(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        {"max_wer_percent": 20, "hallucination": {"max_repeats": 4, "max_chars_per_s": 30}},
        tedlium={"hallucination": {"max_repeats": 2}, "contamination": {}},
    )
    assert config.filter_of("librispeech") == config.filter
    assert config.filter_of("tedlium") == Filter(
        max_wer_percent=20,
        hallucination=Hallucination(max_repeats=2, max_chars_per_s=30),
        contamination=Contamination(),
    )
    assert RunConfig.model_validate(config.model_dump()) == config


def test_a_corpus_can_turn_a_rule_off(tmp_path: Path) -> None:
    config = loaded(tmp_path, {"contamination": {"audio": False}}, tedlium={"contamination": None})
    assert config.filter_of("tedlium").contamination is None


def test_a_mistake_is_reported_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"corpora\.tedlium\.filter\.max_wer: unknown key; did"):
        loaded(tmp_path, {}, tedlium={"max_wer": 3})
    with pytest.raises(ConfigError, match=r"corpora\.tedlium\.filter\.max_wer_percent"):
        loaded(tmp_path, {}, tedlium={"max_wer_percent": -3})
    with pytest.raises(ConfigError, match=r"corpora\.tedlium\.filter"):
        loaded(tmp_path, {}, tedlium=[1])


def test_an_override_changes_only_the_fingerprint_of_its_corpus(tmp_path: Path) -> None:
    before = loaded(tmp_path, {})
    after = loaded(tmp_path, {}, tedlium={"max_wer_percent": 30})
    for name in ("librispeech", "tedlium"):
        one, other = (
            fingerprints(config, corpus_of_run(config, name)) for config in (before, after)
        )
        changed = {stage for stage in one if one[stage] != other[stage]}
        assert changed == ({"filter"} if name == "tedlium" else set())


def test_parameters_hold_a_digest_of_the_takedown_list(tmp_path: Path) -> None:
    from tasks.stages import parameters

    config = loaded(tmp_path, {"takedown": {"speakers": ["ann", "bob"], "ids": ["u1"]}})
    found = str(parameters(config, corpus_of_run(config, "librispeech")))
    assert "ann" not in found and "3 listed" in found


def test_the_evaluation_index_is_part_of_the_filter_fingerprint(tmp_path: Path) -> None:
    plain, asked = loaded(tmp_path, {}), loaded(tmp_path, {"contamination": {}})
    corpus = corpus_of_run(plain, "librispeech")
    assert fingerprints(plain, corpus, "one") == fingerprints(plain, corpus, "other")
    one, other = (fingerprints(asked, corpus, digest) for digest in ("one", "other"))
    assert {stage for stage in one if one[stage] != other[stage]} == {"filter"}


def test_lists_are_replaced_and_blocks_are_merged() -> None:
    common = {"a": [1, 2], "b": {"c": 1, "d": {"e": 2}}}
    own = {"a": [3], "b": {"d": {"f": 4}}}
    assert merged(common, own) == {"a": [3], "b": {"c": 1, "d": {"e": 2, "f": 4}}}


@pytest.mark.parametrize(("fraction", "is_same"), [(1.0, True), (0.5, False)])
def test_the_seed_of_a_share_matters_where_windows_are_left_out(
    tmp_path: Path, fraction: float, is_same: bool
) -> None:
    found = []
    for seed in (0, 1):
        config = loaded(tmp_path, {"fraction": fraction, "fraction_seed": seed})
        found.append(fingerprints(config, corpus_of_run(config, "librispeech"))["filter"])
    assert (found[0] == found[1]) == is_same
