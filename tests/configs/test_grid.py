"""Grids: which runs a file means, what they are called, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.bundled import bundled_grids
from configs.grid import setting_value
from configs.grid_runs import LoadedGrid, load_grid
from configs.load import ConfigError, load_config

THRESHOLD = "filter.max_wer_percent"
LAYERS = "distil.decoder_layers"
BASE: dict[str, Any] = {
    "root": "results",
    "corpora": {"librispeech": {}, "tedlium": {"filter": {"max_wer_percent": 20}}},
    "label": {"teacher": {"path": "teacher"}},
    "publish": {"name": "own"},
}


@pytest.fixture(autouse=True)
def _base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(BASE))
    monkeypatch.chdir(tmp_path)


def load(**grid: Any) -> LoadedGrid:
    Path("grid.yaml").write_text(yaml.safe_dump({"base": "base.yaml", **grid}, sort_keys=False))
    return load_grid("grid.yaml")


def names(grid: LoadedGrid) -> list[str]:
    return [run.name for run in grid.runs]


@pytest.mark.parametrize("name", bundled_grids())
def test_every_bundled_grid_is_valid(name: str) -> None:
    grid = load_grid(name)
    assert len(grid.runs) == len(set(names(grid))) >= 2
    assert all(load_config(run.config) == run.settings for run in grid.runs)


def test_every_combination_is_a_run_named_by_what_differs_from_the_base() -> None:
    grid = load(vary={THRESHOLD: [5, 10], LAYERS: [2, [0, 3]]})
    assert names(grid) == [
        "own-max_wer_percent-5",
        "own-max_wer_percent-5-decoder_layers-0_3",
        "own",
        "own-decoder_layers-0_3",
    ]
    assert grid.reference == {THRESHOLD: 10.0, LAYERS: 2}
    assert grid.runs[1].values == {THRESHOLD: 5.0, LAYERS: [0, 3]}
    assert grid.runs[1].settings.distil.decoder_layers == (0, 3)


def test_a_run_without_differences_is_the_base() -> None:
    base = next(run for run in load(vary={THRESHOLD: [5, 10]}).runs if run.name == "own")
    assert base.config == "base.yaml"
    assert base.settings == load_config("base.yaml")


def test_the_filter_of_a_corpus_that_is_as_the_run_has_it_makes_no_difference() -> None:
    grid = load(vary={f"corpora.librispeech.{THRESHOLD}": [5, 10]})
    assert names(grid) == ["own-librispeech.filter.max_wer_percent-5", "own"]
    assert (grid.runs[1].config, grid.runs[1].settings) == ("base.yaml", load_config("base.yaml"))


def test_runs_may_differ_in_the_weight_of_a_corpus() -> None:
    weight = "distil.corpus_weights.librispeech"
    grid = load(vary={weight: [1, 2, 3]})
    assert names(grid) == [
        "own",
        "own-corpus_weights.librispeech-2",
        "own-corpus_weights.librispeech-3",
    ]
    assert [run.values for run in grid.runs] == [{weight: 1.0}, {weight: 2.0}, {weight: 3.0}]
    assert grid.runs[1].settings.distil.corpus_weights == {"librispeech": 2.0}


def test_the_weight_of_a_corpus_with_dots_in_its_name_can_vary() -> None:
    corpora = {**BASE["corpora"], "my.own": {"local": {"splits": {"train": {"files": ["*.wav"]}}}}}
    Path("base.yaml").write_text(yaml.safe_dump({**BASE, "corpora": corpora}))
    grid = load(vary={"distil.corpus_weights.my.own": [0.5]})
    assert grid.runs[0].settings.distil.corpus_weights == {"my.own": 0.5}


def test_a_setting_that_there_is_not_has_no_value() -> None:
    settings = load_config("base.yaml")
    assert setting_value(settings, "distil.spec_augment.num_time_masks") is None
    with pytest.raises(AttributeError, match="kl_weigh"):
        setting_value(settings, "distil.kl_weigh")


def test_the_same_run_keeps_its_name_with_further_seeds() -> None:
    runs = {"as-it-is": {}, "strict": {THRESHOLD: 5}}
    assert names(load(runs=runs)) == ["own", "own-strict"]
    assert names(load(runs=runs, seeds=[0, 1])) == [
        "own", "own-as-it-is-seed-1", "own-strict", "own-strict-seed-1",
    ]  # fmt: skip


def test_a_run_is_a_configuration_wherever_one_is_named() -> None:
    grid = load(vary={THRESHOLD: [5, 40]}, seeds=[0, 1])
    for run in grid.runs:
        assert load_config(run.config) == run.settings
        assert run.settings.publish.name == run.name
    assert grid.runs[3].config == "grid.yaml:own-max_wer_percent-40-seed-1"
    assert (grid.runs[3].seed, grid.runs[3].settings.distil.seed) == (1, 1)
    with pytest.raises(ConfigError, match=r"grid\.yaml has no run 'own-x'; its runs are own-max_"):
        load_config("grid.yaml:own-x")
    with pytest.raises(ConfigError, match=r"cannot read the grid none\.yaml"):
        load_config("none.yaml:own-x")


def test_named_runs_have_the_values_of_the_base_in_all_other_settings() -> None:
    grid = load(
        common={"distil.num_steps": 7, "evaluate.limit_hours": 1},
        runs={"plain": {}, "strict": {THRESHOLD: 5}, "small": {LAYERS: 1}},
        seeds=[3],
    )
    assert names(grid) == ["own-plain-seed-3", "own-strict-seed-3", "own-small-seed-3"]
    assert [run.values for run in grid.runs] == [
        {THRESHOLD: 10.0, LAYERS: 2},
        {THRESHOLD: 5.0, LAYERS: 2},
        {THRESHOLD: 10.0, LAYERS: 1},
    ]
    for run in grid.runs:
        assert (run.settings.distil.num_steps, run.settings.evaluate.limit_hours) == (7, 1)


def test_a_corpus_keeps_its_own_filter_unless_that_is_varied() -> None:
    run = load(vary={THRESHOLD: [5]}).runs[0]
    assert run.settings.filter_of("tedlium").max_wer_percent == 20
    own = f"corpora.tedlium.{THRESHOLD}"
    run = load(vary={own: [5]}).runs[0]
    assert run.name == "own-tedlium.filter.max_wer_percent-5"
    assert (run.settings.filter_of("tedlium").max_wer_percent, run.values) == (5, {own: 5.0})
    assert run.settings.filter.max_wer_percent == 10


def test_the_base_is_found_beside_the_grid() -> None:
    Path("grids").mkdir()
    Path("grids/own.yaml").write_text(yaml.safe_dump({"base": "../base.yaml", "seeds": [0, 1]}))
    grid = load_grid("grids/own.yaml")
    assert (grid.base, names(grid)) == ("base.yaml", ["own", "own-seed-1"])


def test_other_values_have_other_names_that_folders_can_have() -> None:
    values = [None, {}, {"num_time_masks": 1}, {"num_time_masks": 3}]
    found = names(load(vary={"distil.spec_augment": values}))
    assert len(set(found)) == 4
    many = {f"corpora.tedlium.filter.{name}": [1] for name in (
        "max_utterance_wer_percent", "max_duration_s", "max_tokens", "max_foreign_percent",
        "fraction_seed", "max_wer_percent",
    )}  # fmt: skip
    found += names(load(vary=many))
    assert all(len(name) < 130 and load_config("base.yaml").publish.name in name for name in found)


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        ({}, "there is nothing to compare; give vary, runs or seeds"),
        ({"vary": {THRESHOLD: [1]}, "runs": {"a": {}}}, "vary and runs are given; give one"),
        ({"vary": {THRESHOLD: []}}, "vary.filter.max_wer_percent: Tuple should have at least 1"),
        ({"vary": {"label.dtype": ["float16"]}}, "'label.dtype' cannot differ between the runs"),
        ({"vary": {"evaluate.limit_hours": [1]}}, "'evaluate.limit_hours' cannot differ"),
        ({"seeds": [1, 1]}, r"seeds are \[1, 1\], expected different numbers"),
        ({"seeds": [1], "vary": {"distil.seed": [2]}}, "seeds and distil.seed are given"),
        ({"sedes": [1]}, "sedes: unknown key; did you mean seeds"),
        ({"vary": {THRESHOLD: [5, 5.0]}}, "two runs are both own-max_wer_percent-5"),
        (
            {"runs": {"a": {THRESHOLD: 5}, "b": {THRESHOLD: 5.0, LAYERS: 2}}},
            "the runs own-a and own-b have the same settings in effect; leave one of them out",
        ),
        (
            {"runs": {"a": {}, "a-seed-1": {LAYERS: 1}}, "seeds": [0, 1]},
            "two runs are both own-a-seed-1",
        ),
        ({"vary": {THRESHOLD: [-1]}}, "run filter.max_wer_percent=-1: filter.max_wer_percent:"),
        (
            {"runs": {"a": {"distil.kl_weigh": 1}}},
            "run a: distil.kl_weigh: unknown key; did you mean kl_weight",
        ),
        ({"runs": {"a/b": {}}}, "pattern"),
        (
            {"vary": {"corpora.ami.filter.unit": ["utterance"]}},
            "the base has no corpus 'ami', but librispeech, tedlium",
        ),
        ({"base": "none.yaml", "seeds": [1]}, "cannot read the configuration none.yaml"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(grid: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as raised:
        load(**grid)
    assert len(str(raised.value).splitlines()) == 1


def test_a_missing_grid_is_named_with_those_that_are_bundled() -> None:
    with pytest.raises(
        ConfigError, match=r"the grid none\.yaml: .* bundled grid: demo, paper-in-small-ablations, "
    ):
        load_grid("none.yaml")
