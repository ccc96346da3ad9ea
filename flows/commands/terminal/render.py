"""The one renderer: shows what a command found as text on a terminal, or as JSON for programs."""

import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import typer
from pydantic_core import to_jsonable_python
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from flows.commands.terminal.screen import OUT, harmless
from flows.tables.figures import Figures
from tasks.text.display import json_lines

_ANY_WIDTH: Final = 10_000
_FACT_INDENT: Final = 11
"""Columns that the names of facts take, with the space after the longest."""


@dataclass(frozen=True)
class Command:
    """A shell command after some words; where it is too long it continues after a backslash."""

    before: str
    command: str


@dataclass(frozen=True)
class Fact:
    """A name and a text whose further lines begin below the first one.

    Without a name it continues the fact before.
    """

    name: str
    text: str | Text


@dataclass(frozen=True)
class _Printed:
    """A table on a screen; where that is too narrow, its columns go into several blocks.

    The columns that name a row are repeated in each block.
    """

    figures: Figures

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number, chosen in enumerate(self._blocks(console, options)):
            if number > 0:
                yield ""
            yield self._table(chosen, self.figures.title if number == 0 else None)

    def _blocks(self, console: Console, options: ConsoleOptions) -> Iterator[list[int]]:
        """The columns of each block, as many as fit side by side."""
        keys = list(range(self.figures.num_keys))
        block = list(keys)
        for column in range(self.figures.num_keys, len(self.figures.columns)):
            table = self._table([*block, column], None)
            wide = options.update(width=_ANY_WIDTH)
            if Measurement.get(console, wide, table).maximum > options.max_width and block != keys:
                yield block
                block = list(keys)
            block.append(column)
        yield block

    def _table(self, chosen: Sequence[int], title: str | None) -> Table:
        table = Table(
            title=harmless(title, "bold") if title else None,
            title_justify="left",
            box=SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            collapse_padding=True,
        )
        for column in chosen:
            table.add_column(
                self.figures.columns[column],
                justify="left" if column < self.figures.num_keys else "right",
                overflow="fold",
            )
        for rows in (self.figures.rows, self.figures.footer):
            for number, row in enumerate(rows, start=1):
                table.add_row(
                    *(harmless(row[column]) for column in chosen),
                    end_section=number == len(rows),
                )
        return table


Part = str | Text | Command | Fact | Figures
"""What a view consists of. A string is one line: a line break in it is shown as an escape."""


@dataclass(frozen=True)
class View:
    """What a command found: `data` is printed as JSON, `parts` are printed on a terminal."""

    data: Any
    parts: Iterable[Part]


def show(view: View, *, as_json: bool = False) -> None:
    """Print a view as JSON, or as lines and tables."""
    if as_json:
        values = to_jsonable_python(view.data, inf_nan_mode="null")
        typer.echo(json_lines(json.dumps(values, indent=1, ensure_ascii=False)))
    else:
        print_parts(OUT, view.parts)


def say(text: str) -> None:
    """Print a line."""
    print_parts(OUT, [text])


def print_parts(console: Console, parts: Iterable[Part]) -> None:
    """Print lines and tables on a console.

    On a terminal, lines are broken between words. For files and other programs they are not broken.
    """
    for number, part in enumerate(parts):
        if isinstance(part, Figures):
            if number > 0:
                console.print()
            console.print(_Printed(part))
        else:
            for line in _lines(part, console.width) if console.is_terminal else [_unbroken(part)]:
                console.print(line, highlight=False, soft_wrap=True)


def _unbroken(part: str | Text | Command | Fact) -> Text:
    if isinstance(part, Command):
        return harmless(f"{part.before}{part.command}")
    if isinstance(part, Fact):
        return Text.assemble((f"{part.name:<{_FACT_INDENT}}", "bold"), harmless(part.text))
    return harmless(part)


def _lines(part: str | Text | Command | Fact, width: int) -> Iterator[Text]:
    """A part as lines of at most `width` characters, unless a word alone is longer."""
    if isinstance(part, Command):
        whole = _unbroken(part)
        if len(whole) <= width:
            yield whole
        else:
            *lines, last = _wrapped(whole, width - len(" \\"))
            yield from (line + Text(" \\") for line in lines)
            yield last
    elif isinstance(part, Fact):
        yield from _wrapped(_unbroken(part), width, _FACT_INDENT)
    else:
        yield from _wrapped(_unbroken(part), width)


def _wrapped(text: Text, width: int, num_spaces: int | None = None) -> Iterator[Text]:
    """A line broken between words; the further lines are indented, by default by two more."""
    plain = text.plain
    indent = " " * (len(plain) - len(plain.lstrip()) + 2 if num_spaces is None else num_spaces)
    wrapper = textwrap.TextWrapper(
        width,
        subsequent_indent=indent,
        expand_tabs=False,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )
    end = 0
    for number, line in enumerate(wrapper.wrap(plain) or [""]):
        words = line if number == 0 else line.removeprefix(indent)
        start = plain.index(words, end)
        end = start + len(words)
        yield text[start:end] if number == 0 else Text(indent) + text[start:end]
