"""What a person sees: progress bars, tables, one clear line for each mistake."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from flows.progress import Bar, watched_by

OUT = Console()
ERR = Console(stderr=True, soft_wrap=True, highlight=False)


class _ScreenBar:
    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def advance(self, num_done: int = 1) -> None:
        self._bars.advance(self._task, num_done)

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
        return _ScreenBar(self._bars, task)


@contextmanager
def on_screen() -> Iterator[None]:
    """Draw the progress of what runs inside; on a screen that is none, only the finished bars."""
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[remark]}"),
    )
    with Progress(*columns, console=OUT) as bars, watched_by(Screen(bars)):
        yield


def table(title: str, *columns: str) -> Table:
    """A table whose first column is words and whose others are figures."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        made.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    return made


def complain(message: str) -> None:
    """One line on standard error."""
    ERR.print(f"distillery: {' '.join(message.split())}", markup=False)
