"""An endless, shuffled, restorable stream of examples from the entries of a manifest.

Knows the order and which files to open; the files themselves come from `fetch`.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Final

from storage.errors import UserError
from tasks.reading.examples import Example
from tasks.reading.opened import Entry, Fetch, OpenEntry
from tasks.reading.order import epoch_order
from tasks.reading.share import ALONE, Consumer, Uneven, pieces, share_size
from tasks.whisper.tokens import SpecialTokens, is_chosen, with_timestamp_choice

NUM_OPEN: Final = 16
NUM_BUFFERED: Final = 1_024
"""Windows that wait to be shuffled; as FLAC, about 0.5 GB for windows of 30 s."""


class ManifestReader:
    """The examples of a manifest, epoch after epoch, in an order that only seed and epoch decide.

    No place in the stream is stored anywhere: the number of examples consumed says it all, so a
    training that resumes in the middle of an epoch sees exactly the rest of that epoch. Of several
    readers each `consumer` has a share and an order of its own.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        fetch: Fetch,
        special: SpecialTokens | None = None,
        *,
        seed: int,
        timestamp_probability: float = 1.0,
        previous_text_probability: float = 0.0,
        consumer: Consumer = ALONE,
        uneven: Uneven = "keep",
        num_open: int = NUM_OPEN,
        num_buffered: int = NUM_BUFFERED,
    ) -> None:
        """Order follows the entries' order; without `special` tokens labels stay as they are.

        Files of at most `num_open` entries and one are open at a time. Raises `UserError` when the
        entries hold no window, or fewer than there are readers.
        """
        self._entries = entries
        self._fetch = fetch
        self._special = special
        self._seed = seed
        self._timestamp_probability = timestamp_probability
        self._previous_text_probability = previous_text_probability
        self._consumer = consumer
        self._uneven = uneven
        self._num_open = num_open
        self._num_buffered = num_buffered
        self._num_windows = [entry.num_windows for entry in entries]
        self._refuse_without_windows()

    @property
    def num_examples(self) -> int:
        """Examples in an epoch of this reader."""
        return share_size(self._num_windows, self._consumer, self._uneven)

    def stream(self, num_consumed: int = 0) -> Iterator[Example]:
        """Every example after the first `num_consumed`, without end.

        Raises `IntegrityError` when a file does not hold what its entry says.
        """
        first_epoch, num_skipped = divmod(num_consumed, self.num_examples)
        for epoch in count(first_epoch):
            for example in self._epoch(epoch, num_skipped):
                yield self._as_learnt(example, f"{self._seed} {epoch} {example.window_id}")
            num_skipped = 0

    def _as_learnt(self, example: Example, choice: str) -> Example:
        """The example with the timestamps and the previous text that it has this time."""
        if not is_chosen("previous text", choice, self._previous_text_probability):
            example = example.without_previous()
        if self._special is None:
            return example
        return example.with_tokens(
            with_timestamp_choice(
                example.tokens, self._special, self._timestamp_probability, choice
            )
        )

    def _epoch(self, epoch: int, num_skipped: int) -> Iterator[Example]:
        share = pieces(
            self._num_windows, self._consumer, seed=self._seed, epoch=epoch, uneven=self._uneven
        )
        drawn_out: set[int] = set()
        order = epoch_order(
            [piece.stop - piece.first for piece in share],
            seed=self._seed,
            epoch=epoch,
            num_open=self._num_open,
            num_buffered=self._num_buffered,
            who=() if self._consumer.num == 1 else (self._consumer.num, self._consumer.index),
            on_last=drawn_out.add,
        )
        skipped: defaultdict[int, set[int]] = defaultdict(set)
        for place in islice(order, num_skipped):
            skipped[place.entry].add(place.position)
        opened: dict[int, OpenEntry] = {}
        try:
            for index, position in order:
                piece = share[index]
                if index not in opened:
                    self._make_room(opened, drawn_out)
                    done = skipped.pop(index, set())
                    at = [piece.first + n for n in range(piece.stop - piece.first) if n not in done]
                    opened[index] = OpenEntry(self._entries[piece.entry], self._fetch, at)
                example = opened[index].take(piece.first + position)
                yield example.of_corpus(self._entries[piece.entry].corpus)
                if opened[index].is_finished:
                    opened.pop(index).close()
        finally:
            for reading in opened.values():
                reading.close()

    def _make_room(self, opened: dict[int, OpenEntry], drawn_out: set[int]) -> None:
        """Read one of the entries to its end if as many are open as may be.

        One that is drawn out is: all of it is in the buffer of the order anyway.
        """
        reading = [index for index, entry in opened.items() if entry.holds_files]
        if len(reading) >= self._num_open:
            for index in [index for index in reading if index in drawn_out][:1]:
                opened[index].read_all()

    def _refuse_without_windows(self) -> None:
        total = sum(self._num_windows)
        if not total:
            raise UserError(
                f"the manifest has no kept window in its {len(self._entries)} entries, so there is"
                " nothing to learn from; see `distillery status` for the reasons"
            )
        if not self.num_examples or (self._uneven == "keep" and total < self._consumer.num):
            raise UserError(
                f"{total} windows cannot be shared by {self._consumer.num} readers; take fewer"
                ' ranks and workers, or uneven="wrap"'
            )
