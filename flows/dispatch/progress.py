"""Who is told how far a run is: the command line draws bars, a worker's log takes lines."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Bar(Protocol):
    """One piece of work that takes long enough to be watched."""

    def advance(self, num_done: int = 1) -> None:
        """So many more are done."""

    def advance_to(self, num_done: int) -> None:
        """So many are done in all."""

    def say(self, text: str) -> None:
        """A short remark behind the bar."""


class Progress(Protocol):
    """Something that shows bars."""

    def bar(self, title: str, total: int, unit: str) -> Bar:
        """Show a new bar, at zero of `total`."""


class _Unseen:
    def advance(self, num_done: int = 1) -> None:
        return

    def advance_to(self, num_done: int) -> None:
        return

    def say(self, text: str) -> None:
        return

    def bar(self, title: str, total: int, unit: str) -> Bar:
        return self


_CURRENT: ContextVar[Progress] = ContextVar("progress")
_UNSEEN = _Unseen()


def progress() -> Progress:
    """The one that watches this run."""
    return _CURRENT.get(_UNSEEN)


@contextmanager
def watched_by(watcher: Progress) -> Iterator[None]:
    """Show the progress of what runs inside to `watcher`."""
    token = _CURRENT.set(watcher)
    try:
        yield
    finally:
        _CURRENT.reset(token)
