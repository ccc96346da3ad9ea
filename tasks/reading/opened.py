"""A manifest entry that is being read: its examples come when they are asked for."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Protocol

import pyarrow.parquet as pq

from storage.errors import IntegrityError
from storage.receipt import FileRef
from tasks.reading.examples import Example
from tasks.reading.join import read_entry

Fetch = Callable[[FileRef], AbstractContextManager[Path]]
"""Brings a stored file to this machine for as long as the context is open; `Store.fetch` is one."""


class Entry(Protocol):
    """What the reader needs to know of a manifest entry."""

    @property
    def corpus(self) -> str:
        """The corpus of the shard."""
        ...

    @property
    def files(self) -> Mapping[str, FileRef]:
        """The files of the shard by stage: `normalise`, `label` and `filter` are read."""
        ...

    @property
    def num_windows(self) -> int:
        """How many windows are kept."""
        ...


class OpenEntry:
    """The examples of an entry at `positions`, which rise; each is taken once, in any order.

    One that is read before it is asked for waits here. The files are fetched for the first one and
    let go with the last one that is read.
    """

    def __init__(self, entry: Entry, fetch: Fetch, positions: Sequence[int]) -> None:
        self._entry = entry
        self._positions = positions
        self._num_unread = self._num_left = len(positions)
        self._waiting: dict[int, Example] = {}
        self._reading = self._read(fetch)

    @property
    def is_finished(self) -> bool:
        """Whether every example was taken."""
        return self._num_left == 0

    @property
    def holds_files(self) -> bool:
        """Whether something is left to read."""
        return self._num_unread > 0

    def take(self, position: int) -> Example:
        """The example at a position, once; raises `IntegrityError` for files that do not match."""
        while position not in self._waiting:
            self._advance()
        self._num_left -= 1
        return self._waiting.pop(position)

    def read_all(self) -> None:
        """Read what is left, so that the files can be let go."""
        while self.holds_files:
            self._advance()

    def close(self) -> None:
        """Let the files go; twice is harmless."""
        self._reading.close()

    def _advance(self) -> None:
        position = self._positions[-self._num_unread]
        self._waiting[position] = next(self._reading)
        self._num_unread -= 1
        if not self.holds_files:
            self.close()

    def _read(self, fetch: Fetch) -> Generator[Example, None, None]:
        refs = [self._entry.files[stage] for stage in ("normalise", "label", "filter")]
        with ExitStack() as files:
            audio, label, kept = (files.enter_context(fetch(ref)) for ref in refs)
            num_kept = pq.read_metadata(kept).num_rows
            if num_kept != self._entry.num_windows:
                raise IntegrityError(
                    f"{refs[-1].path} of {self._entry.corpus} keeps {num_kept} windows, the"
                    f" manifest says {self._entry.num_windows}; publish again"
                )
            yield from read_entry(audio, label, kept, self._positions)
