"""Two runs that differ in packing alone, made from the configuration of the experiment."""

from pathlib import Path

import pytest
import yaml

from benchmarks.paper.packing import configurations, packing_effect, packing_sentences, variant
from benchmarks.paper.steps import CONFIG
from configs.load import load_config
from tasks.evaluate.statistics.comparison import RunDifference

REPOSITORY = Path(__file__).parents[3]
DIFFERENCE = RunDifference(
    model="student", condition="clean", set="librispeech/test-clean", num_utterances=465,
    num_only_in_a=0, num_only_in_b=0, wer_percent_a=6.0, wer_percent_b=7.5, difference=1.5,
    interval=(0.5, 2.25), p_value=0.01,
)  # fmt: skip


def test_both_runs_differ_in_packing_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = yaml.safe_load((REPOSITORY / CONFIG).read_text())
    monkeypatch.chdir(REPOSITORY)
    found = {}
    for name in configurations("data"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(dict(variant(base, name))))
        found[name] = load_config(str(path)).model_dump(exclude={"publish"})
    assert found["packed"]["label"].pop("pack") == "any"
    assert found["single"]["label"].pop("pack") == "none"
    assert found["packed"] == found["single"]
    assert found["packed"]["root"] == base["root"]


def test_nothing_is_said_of_runs_that_are_not_there(tmp_path: Path) -> None:
    assert packing_effect(str(tmp_path)) == ()
    assert [*packing_sentences(())] == []


def test_the_difference_has_its_interval() -> None:
    (sentence,) = packing_sentences([DIFFERENCE])
    assert "7.50 % on librispeech/test-clean" in sentence
    assert "6.00 %" in sentence
    assert sentence.endswith("+1.50 points (0.5 to 2.2).")
