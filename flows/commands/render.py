"""The one renderer: shows what a command found as text on a terminal, or as JSON for programs."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import typer
from pydantic_core import to_json
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from flows.commands.screen import OUT

_ANY_WIDTH: Final = 10_000


@dataclass(frozen=True)
class Command:
    """A shell command after some words; where it is too long it continues after a backslash."""

    before: str
    command: str


@dataclass(frozen=True, kw_only=True)
class Figures:
    """A table of figures. Where the screen is too narrow, its columns go into several blocks.

    The first `num_keys` columns name a row and are repeated in each block. `footer` has rows of
    totals.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Text]]
    footer: Sequence[Sequence[str | Text]] = ()
    num_keys: int = 1

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number, chosen in enumerate(self._blocks(console, options)):
            if number > 0:
                yield ""
            yield self._table(chosen, self.title if number == 0 else None)

    def _blocks(self, console: Console, options: ConsoleOptions) -> Iterator[list[int]]:
        """The columns of each block, as many as fit side by side."""
        keys = list(range(self.num_keys))
        block = list(keys)
        for column in range(self.num_keys, len(self.columns)):
            table = self._table([*block, column], None)
            wide = options.update(width=_ANY_WIDTH)
            if Measurement.get(console, wide, table).maximum > options.max_width and block != keys:
                yield block
                block = list(keys)
            block.append(column)
        yield block

    def _table(self, chosen: Sequence[int], title: str | None) -> Table:
        table = Table(
            title=title,
            title_justify="left",
            title_style="bold",
            box=SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            collapse_padding=True,
        )
        for column in chosen:
            table.add_column(
                self.columns[column],
                justify="left" if column < self.num_keys else "right",
                overflow="fold",
            )
        for rows in (self.rows, self.footer):
            for number, row in enumerate(rows, start=1):
                cells = (row[column] for column in chosen)
                table.add_row(
                    *(cell if isinstance(cell, Text) else Text(cell) for cell in cells),
                    end_section=number == len(rows),
                )
        return table


Part = str | Text | Command | Figures
"""What a view consists of. A string is a line, or several with their own line breaks."""


@dataclass(frozen=True)
class View:
    """What a command found: `data` is printed as JSON, `parts` are printed on a terminal."""

    data: Any
    parts: Iterable[Part]


def show(view: View, *, as_json: bool = False) -> None:
    """Print a view as JSON, or as lines and tables."""
    if as_json:
        typer.echo(to_json(view.data, indent=1, inf_nan_mode="null").decode())
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
            console.print(part)
        elif isinstance(part, Text) and console.is_terminal:
            console.print(part, overflow="ignore", crop=False)
        else:
            text = part if isinstance(part, Text) else _text(console, part)
            console.print(text, markup=False, highlight=False, soft_wrap=True)


def _text(console: Console, part: str | Command) -> str:
    if isinstance(part, Command):
        text = f"{part.before}{part.command}"
        width = console.width - len(" \\") if len(text) > console.width else console.width
        return " \\\n".join(_wrapped(text, width)) if console.is_terminal else text
    if not console.is_terminal:
        return part
    return "\n".join(line for text in part.split("\n") for line in _wrapped(text, console.width))


def _wrapped(text: str, width: int) -> list[str]:
    """A line as lines of at most `width` characters, unless a word alone is longer."""
    indent = text[: len(text) - len(text.lstrip())]
    return textwrap.wrap(
        text,
        width,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    ) or [""]
