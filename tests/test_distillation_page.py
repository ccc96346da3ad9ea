"""The settings in docs/distillation.md are valid, and what it says of defaults is true."""

import re
from pathlib import Path

import pytest
import yaml

from configs.distil import Distil
from configs.evaluate import Evaluate
from configs.grid_runs import load_grid
from configs.load import load_config
from configs.runtime import Runtime
from tasks.allocator import ENVIRONMENT

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "distillation.md").read_text()
SETTINGS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", [block for block in SETTINGS if "base:" not in block])
def test_settings_are_valid(block: str) -> None:
    known = {"distil": Distil, "evaluate": Evaluate, "runtime": Runtime}
    for name, values in yaml.safe_load(block).items():
        known[name].model_validate(values)


@pytest.mark.parametrize("block", [block for block in SETTINGS if "base:" in block])
def test_grids_are_valid(block: str, tmp_path: Path) -> None:
    (tmp_path / "shown.yaml").write_text(block)
    assert f"{len(load_grid(tmp_path / 'shown.yaml').runs)} here" in PAGE


@pytest.mark.parametrize("command", re.findall(r"^    distillery (.*)$", PAGE, re.MULTILINE))
def test_commands_name_grids_and_runs_that_exist(command: str) -> None:
    word, config = command.split()
    if word == "grid":
        assert load_grid(ROOT / config).runs
    else:
        assert load_config(ROOT / config).publish.name == config.partition(":")[2]


def test_the_table_of_the_loss_has_the_defaults() -> None:
    defaults = Distil()
    for row, value in (
        ("weight of the KL divergence", defaults.kl_weight),
        ("weight of the cross-entropy", defaults.pseudo_label_weight),
        ("temperature of the KL divergence", int(defaults.temperature)),
        ("weight of the hidden states", int(defaults.hidden_state_weight)),
    ):
        (cells,) = re.findall(rf"^\| {row} \|(.*)\|$", PAGE, re.MULTILINE)
        assert cells.split("|")[-1].strip().startswith(str(value))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([a-z]\w*_\w+)`", PAGE))))
def test_settings_that_are_named_exist(name: str) -> None:
    assert name in Distil.model_fields


def test_the_variables_of_the_allocator_are_all_named() -> None:
    assert set(re.findall(r"`(MALLOC\w+)`", PAGE)) == set(ENVIRONMENT)
