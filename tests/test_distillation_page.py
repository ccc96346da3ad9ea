"""The settings in docs/distillation.md are valid, and what it says of defaults is true."""

import re
from pathlib import Path

import pytest
import yaml

from configs.distil import Distil

PAGE = (Path(__file__).parents[1] / "docs" / "distillation.md").read_text()
SETTINGS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", SETTINGS)
def test_settings_are_valid(block: str) -> None:
    Distil.model_validate(yaml.safe_load(block)["distil"])


def test_the_table_of_the_loss_has_the_defaults() -> None:
    defaults = Distil()
    for row, value in (
        ("weight of the KL divergence", defaults.kl_weight),
        ("weight of the cross-entropy", defaults.pseudo_label_weight),
        ("temperature of the KL divergence", int(defaults.temperature)),
    ):
        (cells,) = re.findall(rf"^\| {row} \|(.*)\|$", PAGE, re.MULTILINE)
        assert cells.split("|")[-1].strip().startswith(str(value))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(\w+_\w+)`", PAGE))))
def test_settings_that_are_named_exist(name: str) -> None:
    assert name in Distil.model_fields
