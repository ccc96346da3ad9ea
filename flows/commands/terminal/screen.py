"""The consoles of the command line, its progress bars, and messages on standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from threading import Event, Thread
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from flows.dispatch.progress import Bar, watched_by
from flows.interruption import ongoing
from tasks.text.display import one_line

_PIPE_WIDTH: Final = 150
"""Columns of output that goes to a file or to another program."""

_LOG_INTERVAL_S: Final = 30.0
_FAST: Final = 10  # per minute, from where on digits after the point say nothing

OUT: Final = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
ERR: Final = Console(stderr=True, soft_wrap=True, highlight=False)


class _ScreenBar:
    def __init__(self, bars: Progress, task: TaskID, total: int) -> None:
        self._bars, self._task, self._total = bars, task, total

    def advance(self, num_done: int = 1) -> None:
        self._bars.advance(self._task, num_done)

    def advance_to(self, num_done: int) -> None:
        self._bars.update(self._task, completed=num_done)

    def extend(self, num_more: int) -> None:
        self._total += num_more
        self._bars.update(self._task, total=self._total, visible=self._total > 0)

    def say(self, text: str) -> None:
        self._bars.update(self._task, remark=one_line(text))


class Screen:
    """Shows a progress bar for each piece of work; nothing is drawn before the first one."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars

    def bar(self, title: str, total: int, unit: str) -> Bar:
        """A new bar; it is hidden while there is nothing to do."""
        self._bars.start()
        task = self._bars.add_task(
            one_line(title), total=total, unit=unit, remark="", visible=total > 0
        )
        return _ScreenBar(self._bars, task, total)


@contextmanager
def on_screen() -> Iterator[None]:
    """Show the progress of what runs inside.

    Without a terminal the final bars are printed, and until then a line for each unfinished bar on
    standard error every half minute.
    """
    columns = (
        TextColumn("{task.description:<16}", markup=False),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[remark]}", markup=False),
    )
    bars = Progress(*columns, console=OUT)

    def stop() -> None:
        if bars.live.is_started:
            bars.stop()

    try:
        with (
            ongoing(lambda: _unfinished(bars), stop),
            watched_by(Screen(bars)),
            nullcontext() if OUT.is_terminal else _logged(bars),
        ):
            yield
    finally:
        stop()


def _unfinished(bars: Progress) -> str:
    """What the bars have not come to the end of, such as `label 3/10 shards, score 2/9 shards`."""
    return ", ".join(
        f"{task.description} {task.completed:g}/{task.total:g} {task.fields['unit']}"
        for task in bars.tasks
        if task.total and not task.finished
    )


@contextmanager
def _logged(bars: Progress) -> Iterator[None]:
    """Log the progress of unfinished bars at regular intervals."""
    ended = Event()

    def log() -> None:
        while not ended.wait(_LOG_INTERVAL_S):
            for task in bars.tasks:
                if task.total and not task.finished:
                    ERR.print(harmless(_log_line(task)))

    thread = Thread(target=log, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _log_line(task: Task) -> str:
    """Such as `12:30:00 label: 5/10 shards, 2.5 per minute, 2 min left; ami/train/00005`."""
    done, total, minutes = task.completed, task.total or 0, (task.elapsed or 0) / 60
    text = f"{datetime.now():%H:%M:%S} {task.description}: {done:g}/{total:g} {task.fields['unit']}"
    if done and minutes:
        rate = done / minutes
        shown = f"{rate:,.0f}" if rate >= _FAST else f"{rate:.2g}"
        text += f", {shown} per minute, {(total - done) / rate:.0f} min left"
    remark = task.fields["remark"]
    return f"{text}; {remark}" if remark else text


def complain(message: str) -> None:
    """Print one line on standard error."""
    ERR.print(harmless(f"distillery: {' '.join(message.split())}"))


def harmless(text: str | Text, style: str = "") -> Text:
    """One line for a terminal, without markup; control characters are shown as escapes."""
    if isinstance(text, str):
        return Text(one_line(text), style)
    if one_line(text.plain) == text.plain:
        return text
    characters = (text[at] for at in range(len(text)))  # each keeps its style
    return Text.assemble(
        *(one if one_line(one.plain) == one.plain else one_line(one.plain) for one in characters)
    )
