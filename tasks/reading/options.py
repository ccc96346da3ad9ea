"""Options for reading a manifest, and the source of examples that follows from them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.errors import UserError
from tasks.reading.examples import ExampleSource
from tasks.reading.mixture import chosen_weights, mixture_by_corpus
from tasks.reading.partition import Consumer, Uneven, partition_size
from tasks.reading.reader import NUM_BUFFERED, NUM_OPEN, ManifestReader
from tasks.reading.shard_reader import Fetch, Shard


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """The options of `open_manifest`."""

    seed: int = 0
    weights: Mapping[str, float] | None = None
    uneven: Uneven = "keep"
    num_epochs: int | None = None
    num_threads: int = 2
    num_open: int = NUM_OPEN
    num_buffered: int = NUM_BUFFERED

    def validate(self, corpora: Collection[str]) -> None:
        """Raise `UserError` for weights of unknown corpora, or weights with `num_epochs`."""
        if self.weights is None:
            return
        chosen_weights(self.weights, corpora)
        if self.num_epochs is not None:
            raise UserError(
                f"num_epochs is {self.num_epochs}, and a mixture by weights is endless; leave"
                " num_epochs out and stop after the number of steps you want"
            )

    def order(self) -> dict[str, Any]:
        """The options that must be equal when a stream is resumed."""
        weights = None if self.weights is None else dict(self.weights)
        return {
            "seed": self.seed,
            "weights": weights,
            "uneven": self.uneven,
            "num_open": self.num_open,
            "num_buffered": self.num_buffered,
        }

    def partition_size(self, shards: Sequence[Shard], consumer: Consumer) -> int:
        """Examples per epoch of a reader, without weights."""
        return partition_size([shard.num_windows for shard in shards], consumer, self.uneven)

    def num_examples(self, shards: Sequence[Shard], consumer: Consumer) -> int | None:
        """Total examples of a reader; None if endless."""
        if self.num_epochs is None:
            return None
        return self.num_epochs * self.partition_size(shards, consumer)

    def source(self, shards: Sequence[Shard], fetch: Fetch, consumer: Consumer) -> ExampleSource:
        """The endless source of examples of one reader."""
        if self.weights is None:
            return self._reader(shards, fetch, consumer, 1.0)
        return mixture_by_corpus(
            shards,
            self.weights,
            lambda some, part: self._reader(some, fetch, consumer, part),
            seed=self.seed,
            consumer=consumer,
        )

    def _reader(
        self, shards: Sequence[Shard], fetch: Fetch, consumer: Consumer, part: float
    ) -> ManifestReader:
        """A reader with `part` of the files and the buffer; a very small corpus repeats."""
        is_scarce = sum(shard.num_windows for shard in shards) < consumer.num
        return ManifestReader(
            shards,
            fetch,
            seed=self.seed,
            previous_text_probability=1.0,
            consumer=consumer,
            uneven="wrap" if is_scarce and self.weights is not None else self.uneven,
            num_open=max(1, round(part * self.num_open)),
            num_buffered=max(1, round(part * self.num_buffered)),
        )
