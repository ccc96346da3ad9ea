"""Reads the examples of one shard on demand, in any order."""

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
"""Provides a local copy of a stored file while the context is open, as `Store.fetch`."""


class Shard(Protocol):
    """The files of a shard to read, as a `ManifestEntry` names them."""

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
        """The number of kept windows."""
        ...


class ShardReader:
    """The examples of a shard at `positions`, in rising order; each can be taken once.

    Files are read from the start, and examples read before they are taken are kept. The files are
    fetched for the first example and released after the last one is read.
    """

    def __init__(self, shard: Shard, fetch: Fetch, positions: Sequence[int]) -> None:
        self._shard = shard
        self._positions = positions
        self._num_unread = self._num_untaken = len(positions)
        self._waiting: dict[int, Example] = {}
        self._reading = self._read(fetch)

    @property
    def is_finished(self) -> bool:
        """Whether all examples have been taken."""
        return self._num_untaken == 0

    @property
    def holds_files(self) -> bool:
        """Whether there are examples left to read, so that the files are needed."""
        return self._num_unread > 0

    def take(self, position: int) -> Example:
        """Take the example at a position; raises `IntegrityError` if the files do not match."""
        while position not in self._waiting:
            self._advance()
        self._num_untaken -= 1
        return self._waiting.pop(position)

    def read_all(self) -> None:
        """Read the remaining examples, which releases the files."""
        while self.holds_files:
            self._advance()

    def close(self) -> None:
        """Release the files; idempotent."""
        self._reading.close()

    def _advance(self) -> None:
        position = self._positions[-self._num_unread]
        self._waiting[position] = next(self._reading)
        self._num_unread -= 1
        if not self.holds_files:
            self.close()

    def _read(self, fetch: Fetch) -> Generator[Example, None, None]:
        refs = [self._shard.files[stage] for stage in ("normalise", "label", "filter")]
        with ExitStack() as files:
            audio, label, kept = (files.enter_context(fetch(ref)) for ref in refs)
            num_kept = pq.read_metadata(kept).num_rows
            if num_kept != self._shard.num_windows:
                raise IntegrityError(
                    f"{refs[-1].path} of {self._shard.corpus} has {num_kept} windows, the"
                    f" manifest states {self._shard.num_windows}; publish again"
                )
            yield from read_entry(audio, label, kept, self._positions)
