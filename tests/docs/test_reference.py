"""The generated pages are those that the code makes now, and leave nothing out."""

import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from configs.schema import RunConfig
from docs.generator.blocks import blocks
from docs.generator.commands import commands, words_of
from docs.generator.effects import effects
from docs.generator.pages import PAGES, REFERENCE
from docs.generator.tables import SOURCES
from flows.commands.app import app
from tasks.stages import STAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_current(name: str) -> None:
    written = (REFERENCE / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), f"docs/reference/{name} is old; write it with: make reference"


def test_every_file_there_is_generated() -> None:
    assert {path.name for path in REFERENCE.iterdir()} == set(PAGES)


def rows(page: str, section: str) -> Iterator[list[str]]:
    """The cells of the table below a heading, without its first two lines."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    body = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in body.splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def keys_of(kind: type[BaseModel], above: str = "") -> Iterator[str]:
    """The dotted keys of the blocks that have a default, and of the others their names."""
    for name, field in kind.model_fields.items():
        yield f"{above}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys_of(field.annotation, f"{above}{name}.")


def test_every_key_is_there_with_its_meaning() -> None:
    shown = {}
    for block in blocks(RunConfig):
        for key, meaning, *_ in rows("configuration.md", block.title):
            shown[f"{block.path}.{key.strip('`')}".lstrip(".")] = meaning
    assert set(keys_of(RunConfig)) <= shown.keys()
    assert [key for key, meaning in shown.items() if not meaning] == []


@pytest.mark.parametrize(
    ("key", "stages"),
    [
        ("label.pack", ("label",)),
        ("label.language", ("label", "score", "index", "evaluate")),
        ("label.teacher.revision", ("label", "distil", "evaluate")),
        ("filter.max_wer_percent", ("filter",)),
        ("distil.num_steps", ("distil",)),
        ("corpora.NAME.checksums", ("plan",)),
        ("corpora.NAME.limit_hours", ()),
        ("evaluate.noise.num_utterances", ("evaluate",)),
        ("evaluate.num_timing_rounds", ()),
    ],
)
def test_what_a_key_decides(key: str, stages: tuple[str, ...]) -> None:
    assert effects()[key] == stages


def test_settings_of_the_machine_decide_nothing() -> None:
    decides = {key for key, stages in effects().items() if stages}
    assert {key for key in decides if key.startswith("runtime.")} == set()


def test_every_pinned_default_is_a_parameter_of_its_stage() -> None:
    """Another way to find parameters: each stage pins the default of every one that has one."""
    for stage in STAGES:
        found = {key for key, stages in effects().items() if stage.name in stages}
        names = {key.partition(".")[2] for key in found} | {key.rpartition(".")[2] for key in found}
        blocks_given = {"contamination", "marks", "spec_augment", "takedown"}
        assert stage.defaults.keys() - names - blocks_given == set()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.title)
def test_every_column_is_there_with_its_meaning(source: Any) -> None:
    shown = {column.strip("`"): meaning for column, meaning, _ in rows("tables.md", source.title)}
    assert [field.name for field in source.schema] == [one for one in shown if "." not in one]
    assert [column for column, meaning in shown.items() if not meaning] == []


def test_columns_of_structs_are_there() -> None:
    shown = {column.strip("`"): kind.strip("`") for column, _, kind in rows("tables.md", "score")}
    evidence = next(one.schema for one in SOURCES if one.title == "score")
    struct = evidence.field("utterances").type.value_type
    assert pa.types.is_struct(struct)
    assert {f"utterances.{field.name}" for field in struct} <= shown.keys()
    assert shown["utterances.no_reference"] == "string?"


def test_every_stage_with_a_table_is_there() -> None:
    with_table = {stage.name for stage in STAGES if stage.schema is not None}
    assert with_table <= {source.title for source in SOURCES}


@pytest.mark.parametrize(("name", "command"), list(commands()), ids=lambda one: str(one)[:20])
def test_every_option_is_the_one_of_the_command_line(name: str, command: Any) -> None:
    page = CliRunner().invoke(app, [*name.split(), "--help"], env={"COLUMNS": "200"})
    assert page.exit_code == 0
    options = {word.shown.split()[0] for word in words_of(command) if word.is_option}
    shown = re.findall(r"^[│ ]*\*? *(--[a-z-]+)", page.stdout, re.MULTILINE)
    assert set(shown) - {"--help"} == options
