"""An endless, shuffled, resumable stream of examples from the shards of a manifest."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Final

from storage.errors import UserError
from tasks.reading.examples import Example
from tasks.reading.partition import ALONE, Consumer, Uneven, partition, partition_size
from tasks.reading.shard_reader import Fetch, Shard, ShardReader
from tasks.reading.shuffle import epoch_order
from tasks.whisper.tokens import SpecialTokens, is_chosen, with_timestamp_choice

NUM_OPEN: Final = 16
NUM_BUFFERED: Final = 1_024
"""Windows in the shuffle buffer; as FLAC, about 0.5 GB for windows of 30 s."""


class ManifestReader:
    """The examples of a manifest, epoch after epoch, in an order that depends on the seed alone.

    The state of the stream is the number of consumed examples: training that resumes in the middle
    of an epoch gets exactly the rest of that epoch. With several readers each `consumer` gets its
    own part of the windows, in its own order.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
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
        """Without `special` tokens labels are unchanged and `timestamp_probability` has no effect.

        The order depends on the order of `shards`. Files of at most `num_open + 1` shards are open
        at a time. Raises `UserError` if there is no window, or fewer windows than readers.
        """
        self._shards = shards
        self._fetch = fetch
        self._special = special
        self._seed = seed
        self._timestamp_probability = timestamp_probability
        self._previous_text_probability = previous_text_probability
        self._consumer = consumer
        self._uneven = uneven
        self._num_open = num_open
        self._num_buffered = num_buffered
        self._num_windows = [shard.num_windows for shard in shards]
        self._refuse_without_windows()

    @property
    def num_examples(self) -> int:
        """The number of examples per epoch of this reader."""
        return partition_size(self._num_windows, self._consumer, self._uneven)

    def stream(self, num_consumed: int = 0) -> Iterator[Example]:
        """The examples after the first `num_consumed`; endless.

        Raises `IntegrityError` if a file does not match the manifest.
        """
        first_epoch, num_skipped = divmod(num_consumed, self.num_examples)
        for epoch in count(first_epoch):
            for example in self._epoch(epoch, num_skipped):
                yield self._with_choices(example, f"{self._seed} {epoch} {example.window_id}")
            num_skipped = 0

    def _with_choices(self, example: Example, choice: str) -> Example:
        """Choose at random whether the label keeps timestamps and previous text."""
        example = example.with_draw(choice)
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
        spans = partition(
            self._num_windows, self._consumer, seed=self._seed, epoch=epoch, uneven=self._uneven
        )
        exhausted: set[int] = set()
        order = epoch_order(
            [span.stop - span.first for span in spans],
            seed=self._seed,
            epoch=epoch,
            num_open=self._num_open,
            num_buffered=self._num_buffered,
            stream=() if self._consumer.num == 1 else (self._consumer.num, self._consumer.index),
            on_last=exhausted.add,
        )
        skipped: defaultdict[int, set[int]] = defaultdict(set)
        for index, position in islice(order, num_skipped):
            skipped[index].add(position)
        readers: dict[int, ShardReader] = {}
        try:
            for index, position in order:
                span = spans[index]
                shard = self._shards[span.shard]
                if index not in readers:
                    self._make_room(readers, exhausted)
                    done = skipped.pop(index, set())
                    wanted = [n for n in range(span.stop - span.first) if n not in done]
                    readers[index] = ShardReader(
                        shard, self._fetch, [span.first + n for n in wanted]
                    )
                example = readers[index].take(span.first + position)
                yield example.of_corpus(shard.corpus)
                if readers[index].is_finished:
                    readers.pop(index).close()
        finally:
            for reader in readers.values():
                reader.close()

    def _make_room(self, readers: dict[int, ShardReader], exhausted: set[int]) -> None:
        """If too many shards are open, read one to its end, which releases its files.

        It is one whose windows are all in the shuffle buffer already.
        """
        reading = [index for index, reader in readers.items() if reader.holds_files]
        if len(reading) >= self._num_open:
            for index in [index for index in reading if index in exhausted][:1]:
                readers[index].read_all()

    def _refuse_without_windows(self) -> None:
        total = sum(self._num_windows)
        if not total:
            raise UserError(
                f"the {len(self._shards)} shards of the manifest have no kept window, so there is"
                " no training data; see `distillery status` for the reasons"
            )
        if not self.num_examples or (self._uneven == "keep" and total < self._consumer.num):
            raise UserError(
                f"{total} windows cannot be divided among {self._consumer.num} readers; use fewer"
                ' ranks and workers, or uneven="wrap"'
            )
