"""`distillery schema`: what editors know about a configuration is what the program accepts."""

import json
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from configs.bundled import INSTALLED, bundled_names
from flows.commands.app import app


def validator(*options: str) -> Draft202012Validator:
    printed = CliRunner().invoke(app, ["schema", *options])
    schema = json.loads(printed.stdout)
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def bundled(name: str) -> Any:
    return yaml.safe_load((INSTALLED / "configs" / f"{name}.yaml").read_text())


@pytest.mark.parametrize("name", bundled_names())
def test_a_bundled_configuration_is_valid(name: str) -> None:
    assert list(validator().iter_errors(bundled(name))) == []


def test_a_grid_has_a_schema_of_its_own() -> None:
    grid = yaml.safe_load((INSTALLED / "configs" / "grids" / "demo.yaml").read_text())
    assert list(validator("--grid").iter_errors(grid)) == []
    assert list(validator().iter_errors(grid)) != []


@pytest.mark.parametrize(
    ("block", "key", "value"),
    [("label", "packs", "any"), ("label", "pack", "all"), ("distil", "num_steps", 0)],
)
def test_a_mistake_is_found(block: str, key: str, value: Any) -> None:
    settings = bundled("tiny")
    settings[block][key] = value
    assert len(list(validator().iter_errors(settings))) == 1


def test_docstrings_are_descriptions() -> None:
    schema: Any = validator().schema
    pack = schema["$defs"]["Label"]["properties"]["pack"]
    assert pack["enum"] == ["none", "speaker", "any"]
    assert pack["description"].startswith("Which utterances share a window")


def test_the_documented_first_line_names_the_documented_file() -> None:
    page = (INSTALLED / "docs" / "reference" / "configuration.md").read_text()
    assert "distillery schema > distillery.schema.json" in page
    assert "# yaml-language-server: $schema=distillery.schema.json" in page
