"""An endless, shuffled, restorable stream of examples from the entries of a manifest.

Knows the order and which files to open; the files themselves come from `fetch`.
"""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from itertools import count, islice
from pathlib import Path
from typing import Final, Protocol

from storage.errors import IntegrityError, UserError
from storage.receipt import FileRef
from tasks.distil.examples import Example
from tasks.distil.join import read_entry
from tasks.distil.order import epoch_order
from tasks.distil.tokens import SpecialTokens, with_timestamp_choice

NUM_OPEN: Final = 16
NUM_BUFFERED: Final = 1_024
"""Windows that wait to be shuffled; as FLAC, about 0.5 GB for windows of 30 s."""

Fetch = Callable[[FileRef], AbstractContextManager[Path]]
"""Brings a stored file to this machine for as long as the context is open; `Store.fetch` is one."""


class Entry(Protocol):
    """What the reader needs to know of a manifest entry."""

    @property
    def corpus(self) -> str:
        """The corpus of the shard."""
        ...

    @property
    def audio(self) -> FileRef:
        """The normalised shard."""
        ...

    @property
    def label(self) -> FileRef:
        """Its labels."""
        ...

    @property
    def kept(self) -> FileRef:
        """The windows that the filter kept."""
        ...

    @property
    def num_windows(self) -> int:
        """How many windows are kept."""
        ...


class ManifestReader:
    """The examples of a manifest, epoch after epoch, in an order that only seed and epoch decide.

    No place in the stream is stored anywhere: the number of examples consumed says it all, so a
    training that resumes in the middle of an epoch sees exactly the rest of that epoch.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        fetch: Fetch,
        special: SpecialTokens,
        *,
        seed: int,
        timestamp_probability: float = 1.0,
        num_open: int = NUM_OPEN,
        num_buffered: int = NUM_BUFFERED,
    ) -> None:
        """Raises `UserError` when the entries hold no window; order follows the entries' order."""
        self._entries = entries
        self._fetch = fetch
        self._special = special
        self._seed = seed
        self._timestamp_probability = timestamp_probability
        self._num_open = num_open
        self._num_buffered = num_buffered
        self._num_windows = [entry.num_windows for entry in entries]
        if not self.num_examples:
            raise UserError(
                f"the manifest has no kept window in its {len(entries)} entries, so there is"
                " nothing to learn from; see `distillery status` for the reasons"
            )

    @property
    def num_examples(self) -> int:
        """Examples in an epoch."""
        return sum(self._num_windows)

    def stream(self, num_consumed: int = 0) -> Iterator[Example]:
        """Every example after the first `num_consumed`, without end.

        Raises `IntegrityError` when a file does not hold what its entry says.
        """
        first_epoch, num_skipped = divmod(num_consumed, self.num_examples)
        for epoch in count(first_epoch):
            for example in self._epoch(epoch, num_skipped):
                choice = f"{self._seed} {epoch} {example.window_id}"
                tokens = with_timestamp_choice(
                    example.tokens, self._special, self._timestamp_probability, choice
                )
                yield example.with_tokens(tokens)
            num_skipped = 0

    def _epoch(self, epoch: int, num_skipped: int) -> Iterator[Example]:
        order = epoch_order(
            self._num_windows,
            seed=self._seed,
            epoch=epoch,
            num_open=self._num_open,
            num_buffered=self._num_buffered,
        )
        skipped: defaultdict[int, set[int]] = defaultdict(set)
        for place in islice(order, num_skipped):
            skipped[place.entry].add(place.position)
            if len(skipped[place.entry]) == self._num_windows[place.entry]:
                del skipped[place.entry]
        opened: dict[int, _OpenEntry] = {}
        try:
            for entry, position in order:
                if entry not in opened:
                    done = skipped.pop(entry, set())
                    opened[entry] = _OpenEntry(self._entries[entry], self._fetch, done)
                yield opened[entry].take(position)
                if opened[entry].is_finished:
                    opened.pop(entry).finish()
        finally:
            for reading in opened.values():
                reading.close()


class _OpenEntry:
    """An entry that is being read: its examples come by position, in nearly rising order.

    An example that is read before it is asked for waits here; those of `done`, consumed before
    this reader started, do not.
    """

    def __init__(self, entry: Entry, fetch: Fetch, done: set[int]) -> None:
        self._entry = entry
        self._done = done
        self._num_left = entry.num_windows - len(done)
        self._waiting: dict[int, Example] = {}
        self._reading = self._read(fetch)
        self._examples = enumerate(self._reading)

    @property
    def is_finished(self) -> bool:
        """Whether every example was taken."""
        return self._num_left == 0

    def take(self, position: int) -> Example:
        """The example at a position, once."""
        while position not in self._waiting:
            self._advance()
        self._num_left -= 1
        return self._waiting.pop(position)

    def finish(self) -> None:
        """Close an entry of which everything was taken; raises `IntegrityError` if it has more."""
        for position, _ in self._examples:  # what is left was consumed before this reader started
            if position >= self._entry.num_windows:
                raise self._mismatch("more")
        self.close()

    def close(self) -> None:
        """Let the files go; twice is harmless."""
        self._reading.close()

    def _advance(self) -> None:
        try:
            position, example = next(self._examples)
        except StopIteration:
            raise self._mismatch("fewer") from None
        if position not in self._done:
            self._waiting[position] = example

    def _read(self, fetch: Fetch) -> Generator[Example, None, None]:
        with ExitStack() as files:
            refs = (self._entry.audio, self._entry.label, self._entry.kept)
            audio, label, kept = (files.enter_context(fetch(ref)) for ref in refs)
            yield from read_entry(audio, label, kept)

    def _mismatch(self, found: str) -> IntegrityError:
        return IntegrityError(
            f"{self._entry.kept.path} of {self._entry.corpus} keeps {found} windows than the"
            f" {self._entry.num_windows} that the manifest says; publish again"
        )
