"""The page on tables: every column with its type and meaning, from the schemas of the stages."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Final

import pyarrow as pa

from docs.generator import markdown
from docs.generator.glossary import MEANINGS
from docs.generator.source import assigned, comment_of, docstring_of, file_of
from flows.state import sweep
from storage import schema as rejected
from tasks.download import schema as download
from tasks.evaluate import schema as evaluate
from tasks.evaluate.statistics import totals
from tasks.export import hugging_face
from tasks.filter import schema as filter_
from tasks.index import schema as index
from tasks.label import schema as label
from tasks.normalise import schema as normalise
from tasks.plan import schema as plan
from tasks.score import schema as score

_INTRODUCTION: Final = """\
All tables are Parquet files; [the layout](../architecture.md#layout-on-storage) says where each is.
Columns whose type ends in `?` may be null. Times are in seconds, and a name ends in its unit where
it has one. `list<item: …>` is a list, and the columns of a struct follow it with a dot."""


@dataclass(frozen=True)
class _Source:
    """A schema, by the module and the name under which it is defined."""

    title: str
    module: ModuleType
    name: str

    @property
    def schema(self) -> pa.Schema:
        """The schema itself."""
        return getattr(self.module, self.name)


SOURCES: Final = (
    _Source("download: the index of a file", download, "INDEX"),
    _Source("plan", plan, "PLAN"),
    _Source("normalise", normalise, "NORMALISED"),
    _Source("label", label, "LABELS"),
    _Source("score", score, "EVIDENCE"),
    _Source("index", index, "IDENTITIES"),
    _Source("filter", filter_, "KEPT"),
    _Source("evaluate", evaluate, "MEASURED"),
    _Source("Rejected rows", rejected, "REJECTED"),
    _Source("Results of a report", totals, "TOTALS"),
    _Source("distillery sweep --parquet", sweep, "SCHEMA"),
    _Source("distillery manifest export --to hf", hugging_face, "EXPORTED"),
)
"""Every table that is written, in the order of the stages."""


def tables_page() -> str:
    """The page `tables.md`."""
    return markdown.page("Tables", [_INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    for source in SOURCES:
        file = file_of(source.module)
        meanings = _meanings(file, source.name)
        yield f"## {source.title}"
        if said := docstring_of(file, source.name):
            yield said
        yield markdown.table(
            ("column", "meaning", "type"),
            (
                (markdown.code(name), meanings.get(name) or _common(name), markdown.code(kind))
                for name, kind in _columns(source.schema)
            ),
        )


def _columns(fields: pa.Schema | pa.StructType, above: str = "") -> Iterator[tuple[str, str]]:
    """The dotted names of all columns, and their types."""
    for field in fields:
        name = f"{above}{field.name}"
        struct = _struct_in(field.type)
        shown = str(field.type) if struct is None else str(field.type).partition("<")[0]
        yield name, f"{shown}{'?' if field.nullable else ''}"
        if struct is not None:
            yield from _columns(struct, f"{name}.")


def _common(column: str) -> str:
    """The meaning of a column without a comment: that of its name in all tables."""
    return MEANINGS.get(column.rpartition(".")[2], "")


def _struct_in(kind: pa.DataType) -> pa.StructType | None:
    if pa.types.is_list(kind) and pa.types.is_struct(kind.value_type):
        return kind.value_type
    return kind if pa.types.is_struct(kind) else None


def _meanings(file: str, name: str, above: str = "") -> dict[str, str]:
    """Dotted column to the comment beside its definition, or above it."""
    found: dict[str, str] = {}
    for element in _elements(assigned(file, name)):
        match element:
            case ast.Starred(value=ast.Name(id=other)):
                found |= _meanings(file, other, above)
            case ast.Call(args=[ast.Constant(value=str(column)), *kinds]):
                last = element.end_lineno or element.lineno
                found[f"{above}{column}"] = comment_of(file, element.lineno, last)
                for struct in _named_in(kinds):
                    found |= _meanings(file, struct, f"{above}{column}.")
    return found


def _elements(value: ast.expr) -> list[ast.expr]:
    """The elements of the list that a schema, a struct or a list of fields is made of."""
    match value:
        case ast.List(elts=elements):
            return elements
        case ast.Call(args=[ast.List(elts=elements), *_]):
            return elements
        case _:
            return []


def _named_in(kinds: list[ast.expr]) -> Iterator[str]:
    """The structs of the same module that a type is made of."""
    for kind in kinds:
        for node in ast.walk(kind):
            if isinstance(node, ast.Name) and node.id.isupper():
                yield node.id
