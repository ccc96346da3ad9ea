"""SIGTERM in the middle of long work: what is done is saved before the signal takes effect."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self


class SavedFirst:
    """While inside, SIGTERM calls `save` and then has the effect that it had outside.

    `save` is called in the main thread at any moment at which `undivided` is not entered, and
    otherwise as soon as it is left. Does nothing in other threads, which get no signals.
    """

    def __init__(self, save: Callable[[], None]) -> None:
        self._save = save
        self._is_requested = False
        self._is_undivided = False
        self._before: Callable[[int, FrameType | None], object] | int | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._on_signal)
            _SAVING_FIRST.set()
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    @contextmanager
    def undivided(self) -> Iterator[None]:
        """A piece of work after a part of which nothing can be saved."""
        self._is_undivided = True
        try:
            yield
        finally:
            self._is_undivided = False
        if self._is_requested:
            self._save_and_end()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._is_undivided:
            self._is_requested = True
        else:
            self._save_and_end()

    def _save_and_end(self) -> None:
        self._is_requested = False
        self._save()
        self._restore()
        os.kill(os.getpid(), signal.SIGTERM)

    def _restore(self) -> None:
        if _SAVING_FIRST.is_set() and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)
            _SAVING_FIRST.clear()


def is_saving_first() -> bool:
    """Whether SIGTERM would be followed by a save; it may be asked in any thread."""
    return _SAVING_FIRST.is_set()


_SAVING_FIRST = threading.Event()
