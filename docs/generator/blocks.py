"""The blocks of settings that a configuration consists of."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from docs.generator import markdown

NAME: Final = "NAME"
"""Stands for the name of a corpus, or of another entry that the user names."""


@dataclass(frozen=True)
class Block:
    """A block of settings and the dotted name under which it is given, "" for the whole file."""

    path: str
    kind: type[BaseModel]

    @property
    def title(self) -> str:
        """Its heading."""
        return markdown.code(self.path) if self.path else "The whole"


def blocks(kind: type[BaseModel]) -> list[Block]:
    """All blocks of settings, each kind once, in the order of the file."""
    return sorted(places(kind).values(), key=lambda block: _position(kind, block.path))


def places(kind: type[BaseModel]) -> dict[type[BaseModel], Block]:
    """Where each kind of block is described: at its place nearest to the top."""
    found = {kind: Block("", kind)}
    waiting = deque(found.values())
    while waiting:
        above = waiting.popleft()
        for name, field in above.kind.model_fields.items():
            if (inner := block_in(field)) and inner not in found:
                found[inner] = Block(_path(above.path, name, field), inner)
                waiting.append(found[inner])
    return found


def _path(above: str, name: str, field: FieldInfo) -> str:
    names = [above, name, NAME if is_mapping(field) else ""]
    return ".".join(one for one in names if one)


def _position(kind: type[BaseModel], path: str) -> list[int]:
    """The positions of the keys that lead to a block, by which blocks are sorted."""
    positions: list[int] = []
    for name in path.split(".") if path else []:
        if name == NAME:
            continue
        positions.append(list(kind.model_fields).index(name))
        kind = block_in(kind.model_fields[name]) or kind
    return positions


def block_in(field: FieldInfo) -> type[BaseModel] | None:
    """The kind of block that a key contains, if any."""
    return next(_models(field.annotation), None)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def is_mapping(field: FieldInfo) -> bool:
    """Whether a key contains blocks, or values, by names that the user gives."""
    return "dict" in str(field.annotation).lower()


@cache
def properties(kind: type[BaseModel]) -> Mapping[str, Any]:
    """The JSON schema of each key of a block."""
    found: Mapping[str, Any] = kind.model_json_schema()["properties"]
    return found
