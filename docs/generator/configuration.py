"""The page on the configuration: every key with its type, default, meaning and what it decides."""

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Final, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from configs.grid import Grid
from configs.schema import RunConfig
from docs.generator import markdown
from docs.generator.blocks import Block, block_in, blocks, is_mapping, places, properties
from docs.generator.effects import effects
from docs.generator.types import type_text

_INTRODUCTION: Final = """\
Every key that a configuration can have. A key that is not listed here is an error. `NAME` stands
for a name that you choose, or that of a corpus.

The last column names the stages that have a key as a parameter: another value changes the
[fingerprint](../architecture.md#identity) of that stage, and of those that take their input from
it, so that they are made again. Keys without an entry there leave all that is made valid: they are
settings of the machine, or choose what is used, as `corpora.NAME.limit_hours` does. Another value
in `evaluate` makes a new report, and transcripts only where there is an entry. Where a model is
given by `path`, its weights count and not the path.

`distillery schema` prints all of this as a JSON schema, by which editors complete and check a
configuration:

```bash
distillery schema > distillery.schema.json
```

Name it in the first line of the configuration, for the YAML extension of VS Code and others that
use the YAML language server; the path starts from the folder of the configuration:

```yaml
# yaml-language-server: $schema=distillery.schema.json
```"""

_GRID: Final = """\
The file of a [grid](../distillation.md#compare-settings) has keys of its own; `distillery schema
--grid` prints their schema."""


def configuration_page() -> str:
    """The page `configuration.md`."""
    found = effects()
    parts = [part for block in blocks(RunConfig) for part in _section(block, found)]
    grid = Block("", Grid)
    return markdown.page(
        "Configuration",
        [_INTRODUCTION, *parts, "## Grids", _GRID, _table(grid, None, {Grid: grid})],
    )


def _section(block: Block, found: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    yield f"## {block.title}"
    yield inspect.getdoc(block.kind) or ""
    yield _table(block, found, places(RunConfig))


def _table(
    block: Block,
    found: Mapping[str, tuple[str, ...]] | None,
    where: Mapping[type[BaseModel], Block],
) -> str:
    columns = ("key", "meaning", "type", "default")
    rows = [_row(block, name, where) for name in block.kind.model_fields]
    if found is None:
        return markdown.table(columns, rows)
    decides = (found.get(_dotted(block.path, name), ()) for name in block.kind.model_fields)
    return markdown.table(
        (*columns, "parameter of"),
        ((*row, ", ".join(stages)) for row, stages in zip(rows, decides, strict=True)),
    )


def _row(
    block: Block, name: str, where: Mapping[type[BaseModel], Block]
) -> tuple[str, str, str, str]:
    field = block.kind.model_fields[name]
    shown = properties(block.kind)[name]
    inner = block_in(field)
    kind = type_text(shown) if inner is None else _link(where[inner], field)
    meaning = field.description or (_first_sentence(inner) if inner else "")
    return markdown.code(name), meaning, kind, default_text(field)


def _link(place: Block, field: FieldInfo) -> str:
    link = f"[block](#{markdown.anchor(place.title)})"
    text = f"name to {link}" if is_mapping(field) else link
    return f"{text} or null" if type(None) in get_args(field.annotation) else text


def _first_sentence(kind: type[BaseModel]) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def default_text(field: FieldInfo) -> str:
    """The default as it is written in YAML; that of a block is left out, since its keys have it."""
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined:
        return "required"
    if isinstance(default, BaseModel):
        return ""
    return markdown.code(json.dumps(to_jsonable_python(default), ensure_ascii=False))


def _dotted(above: str, name: str) -> str:
    return f"{above}.{name}" if above else name
