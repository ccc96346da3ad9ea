"""The consoles of the command line, its progress bars, and messages on standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from flows.dispatch.progress import Bar, watched_by

_PIPE_WIDTH: Final = 150
"""Columns of output that goes to a file or to another program."""

OUT: Final = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
ERR: Final = Console(stderr=True, soft_wrap=True, highlight=False)


class _ScreenBar:
    def __init__(self, screen: "Screen", task: TaskID) -> None:
        self._screen = screen
        self._task = task

    def advance(self, num_done: int = 1) -> None:
        self._screen.bars.advance(self._task, num_done)
        self._screen.print_finished(but=self._task)

    def advance_to(self, num_done: int) -> None:
        self._screen.bars.update(self._task, completed=num_done)
        self._screen.print_finished(but=self._task)

    def say(self, text: str) -> None:
        self._screen.bars.update(self._task, remark=text)


class Screen:
    """Shows a progress bar for each piece of work in progress.

    The bar of finished work is printed once, above the bars that still move, so that these fit on
    the screen also when many corpora are processed at the same time.
    """

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self._lock = RLock()

    def bar(self, title: str, total: int, unit: str) -> Bar:
        """A new bar; it is hidden when there is nothing to do."""
        self.bars.start()
        self.print_finished()
        task = self.bars.add_task(title, total=total, unit=unit, remark="", visible=total > 0)
        return _ScreenBar(self, task)

    def print_finished(self, but: TaskID | None = None) -> None:
        """Print the finished bars, except `but`: its last remark may be still to come."""
        with self._lock:
            for task in self.bars.tasks:
                if task.finished and task.visible and task.id != but:
                    self.bars.print(self.bars.make_tasks_table([task]))
                    self.bars.update(task.id, visible=False)


@contextmanager
def on_screen() -> Iterator[None]:
    """Show the progress of what runs inside; nothing is drawn before the first bar."""
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=12),
        TextColumn("{task.completed:>4.0f}/{task.total:<4.0f}"),
        TextColumn("{task.fields[unit]:<10}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[remark]}"),
    )
    bars = Progress(*columns, console=OUT)
    screen = Screen(bars)
    try:
        with watched_by(screen):
            yield
    finally:
        if bars.live.is_started:
            screen.print_finished()
            bars.stop()


def complain(message: str) -> None:
    """Print one line on standard error."""
    ERR.print(f"distillery: {' '.join(message.split())}", markup=False)
