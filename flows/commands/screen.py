"""What a person sees: progress bars, tables, one clear line for each mistake."""

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from flows.dispatch.progress import Bar, watched_by

_PIPE_WIDTH: Final = 150
"""Columns of a table that no terminal shows, but a file or another program takes."""

OUT: Final = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
ERR: Final = Console(stderr=True, soft_wrap=True, highlight=False)


class _ScreenBar:
    def __init__(self, bars: Progress, task: TaskID, total: int) -> None:
        self._bars, self._total = bars, total
        self._task = task

    def advance(self, num_done: int = 1) -> None:
        self._bars.advance(self._task, num_done)

    def extend(self, num_more: int) -> None:
        self._total += num_more
        self._bars.update(self._task, total=self._total, visible=self._total > 0)

    def advance_to(self, num_done: int) -> None:
        self._bars.update(self._task, completed=num_done)

    def say(self, text: str) -> None:
        self._bars.update(self._task, remark=text)


class Screen:
    """Shows a bar for each piece of work that has any."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars

    def bar(self, title: str, total: int, unit: str) -> Bar:
        """A new bar, hidden when there is nothing to do."""
        task = self._bars.add_task(title, total=total, unit=unit, remark="", visible=total > 0)
        return _ScreenBar(self._bars, task, total)


@contextmanager
def on_screen() -> Iterator[None]:
    """Draw the progress of what runs inside; on a screen that is none, only the finished bars."""
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[remark]}"),
    )
    with Progress(*columns, console=OUT) as bars, watched_by(Screen(bars)):
        yield


def table(title: str, *columns: str, words: Collection[str] = ()) -> Table:
    """A table of figures, with the first column and those of `words` for words."""
    made = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for number, column in enumerate(columns):
        is_words = number == 0 or column in words
        made.add_column(column, justify="left" if is_words else "right", overflow="fold")
    return made


def complain(message: str) -> None:
    """One line on standard error."""
    ERR.print(f"distillery: {' '.join(message.split())}", markup=False)
