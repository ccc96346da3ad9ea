"""SIGTERM in the middle of long work: what is done is saved before the signal takes effect."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType
from typing import Final, Self


@dataclass
class _State:
    """What this process does on SIGTERM; the main thread sets it, and others read it."""

    is_saving_first: bool = False
    has_saved: bool | None = None


_STATE: Final = _State()


class SavedFirst:
    """While inside, SIGTERM calls `save` and then has the effect that it had outside.

    `save` is called in the main thread at any moment at which `undivided` is not entered, and
    otherwise as soon as it is left. The signal takes effect also if `save` raises. Does nothing in
    other threads, which get no signals.
    """

    def __init__(self, save: Callable[[], None]) -> None:
        self._save = save
        self._is_requested = False
        self._is_undivided = False
        self._before: Callable[[int, FrameType | None], object] | int | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._on_signal)
            _STATE.is_saving_first, _STATE.has_saved = True, None
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    @contextmanager
    def undivided(self) -> Iterator[None]:
        """Work that must be complete before anything can be saved.

        If it raises, SIGTERM has its effect without a save, also one that came in the meantime.
        """
        self._is_undivided = True
        try:
            yield
        except BaseException:
            self._restore()
            if self._is_requested:
                self._take_effect()
            raise
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
        _STATE.has_saved = False
        try:
            self._save()
            _STATE.has_saved = True
        finally:
            self._restore()
            self._take_effect()

    def _take_effect(self) -> None:
        """Sent again, the signal would look like a second one to who watches for them."""
        if callable(self._before):
            self._before(signal.SIGTERM, None)
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    def _restore(self) -> None:
        if _STATE.is_saving_first and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)
            _STATE.is_saving_first = False


class LedByAnother:
    """While inside, SIGTERM is ignored: the process that leads this one gets it too, and ends both.

    Used like `SavedFirst`. Does nothing in threads other than the main one.
    """

    def __enter__(self) -> Self:
        self._is_main = threading.current_thread() is threading.main_thread()
        if self._is_main:
            self._before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_main:
            signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)

    def undivided(self) -> AbstractContextManager[None]:
        """Nothing divides any work here."""
        return nullcontext()


def is_saving_first() -> bool:
    """Whether SIGTERM would be followed by a save; it may be asked in any thread."""
    return _STATE.is_saving_first


def has_saved() -> bool | None:
    """Whether the save that SIGTERM asked for has succeeded; None before any began.

    It may be asked in any thread, once `is_saving_first` no longer holds.
    """
    return _STATE.has_saved
