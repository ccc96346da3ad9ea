"""Comments and docstrings beside definitions, which say what columns and fields mean."""

import ast
import inspect
import io
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any


@cache
def parsed(file: str) -> tuple[ast.Module, Mapping[int, tuple[str, bool]]]:
    """The syntax tree of a file, and its comments by line: the text, and whether it is alone."""
    text = Path(file).read_text(encoding="utf-8")
    lines = text.splitlines()
    comments = {
        token.start[0]: (
            token.string.lstrip("# ").strip(),
            not lines[token.start[0] - 1][: token.start[1]].strip(),
        )
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
    return ast.parse(text), comments


def file_of(value: ModuleType | type[Any]) -> str:
    """The path of the source of a module or class."""
    return inspect.getfile(value)


def comment_of(file: str, first: int, last: int) -> str:
    """The comment at the end of the lines of a statement, or the one directly above it."""
    _, comments = parsed(file)
    for line in range(first, last + 1):
        text, is_alone = comments.get(line, ("", True))
        if text and not is_alone and not text.startswith("fmt:"):
            return text
    above: list[str] = []
    line = first - 1
    while line in comments and comments[line][1]:
        above.insert(0, comments[line][0])
        line -= 1
    return " ".join(above)


def assigned(file: str, name: str) -> ast.expr:
    """The value that a module assigns to a name; raises `KeyError`."""
    for node in parsed(file)[0].body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value):
                if found == name:
                    return value
            case ast.Assign(targets=[ast.Name(id=found)], value=value):
                if found == name:
                    return value
    raise KeyError(name)


def docstring_of(file: str, name: str) -> str:
    """The docstring below an assignment of a module, or "" if there is none."""
    body = parsed(file)[0].body
    for node, following in pairwise(body):
        match node, following:
            case (
                ast.AnnAssign(target=ast.Name(id=found)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ) if found == name:
                return inspect.cleandoc(text)
    return ""


@dataclass(frozen=True)
class Declared:
    """A field as it is declared in a class: its type as written, and the comment beside it."""

    kind: str
    meaning: str


def declared_fields(kind: type[Any]) -> Mapping[str, Declared]:
    """The fields of a class by name, inherited ones left out."""
    file = file_of(kind)
    for node in ast.walk(parsed(file)[0]):
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
            return {
                one.target.id: Declared(
                    ast.unparse(one.annotation),
                    comment_of(file, one.lineno, one.end_lineno or one.lineno),
                )
                for one in node.body
                if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
            }
    return {}
