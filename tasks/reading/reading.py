"""The choices that one has when a manifest is read, and the order that follows from them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.errors import UserError
from tasks.reading.examples import ExampleSource
from tasks.reading.mix import Mixture, chosen_weights
from tasks.reading.opened import Entry, Fetch
from tasks.reading.reader import NUM_BUFFERED, NUM_OPEN, ManifestReader
from tasks.reading.share import Consumer, Uneven, share_size


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a manifest is read, with the meaning that `open_manifest` gives to each of these."""

    seed: int = 0
    weights: Mapping[str, float] | None = None
    uneven: Uneven = "keep"
    num_epochs: int | None = None
    num_threads: int = 2
    num_open: int = NUM_OPEN
    num_buffered: int = NUM_BUFFERED

    def refuse_unknown(self, corpora: Collection[str]) -> None:
        """Raise `UserError` for weights that are none for `corpora`, or that meet `num_epochs`."""
        if self.weights is None:
            return
        chosen_weights(self.weights, corpora)
        if self.num_epochs is not None:
            raise UserError(
                f"num_epochs is {self.num_epochs} and weights are given, which mix without end;"
                " leave num_epochs out and stop after as many steps as you want"
            )

    def order(self) -> dict[str, Any]:
        """What must be the same where a stream goes on."""
        weights = None if self.weights is None else dict(self.weights)
        return {
            "seed": self.seed,
            "weights": weights,
            "uneven": self.uneven,
            "num_open": self.num_open,
            "num_buffered": self.num_buffered,
        }

    def share_size(self, entries: Sequence[Entry], consumer: Consumer) -> int:
        """How many examples a reader without weights takes in an epoch."""
        return share_size([entry.num_windows for entry in entries], consumer, self.uneven)

    def num_in_all(self, entries: Sequence[Entry], consumer: Consumer) -> int | None:
        """How many examples a reader takes; None: it never ends."""
        if self.num_epochs is None:
            return None
        return self.num_epochs * self.share_size(entries, consumer)

    def source(self, entries: Sequence[Entry], fetch: Fetch, consumer: Consumer) -> ExampleSource:
        """The endless examples of one reader."""
        if self.weights is None:
            return self._reader(entries, fetch, consumer, 1.0)
        chosen = chosen_weights(self.weights, {entry.corpus for entry in entries})
        readers = [
            self._reader(
                [entry for entry in entries if entry.corpus == corpus],
                fetch,
                consumer,
                weight / sum(chosen.values()),
            )
            for corpus, weight in chosen.items()
        ]
        return Mixture(readers, list(chosen.values()), seed=self.seed, consumer=consumer)

    def _reader(
        self, entries: Sequence[Entry], fetch: Fetch, consumer: Consumer, part: float
    ) -> ManifestReader:
        """With its part of the files and of the buffer; a corpus too small to be shared repeats."""
        is_scarce = sum(entry.num_windows for entry in entries) < consumer.num
        return ManifestReader(
            entries,
            fetch,
            seed=self.seed,
            previous_text_probability=1.0,
            consumer=consumer,
            uneven="wrap" if is_scarce and self.weights is not None else self.uneven,
            num_open=max(1, round(part * self.num_open)),
            num_buffered=max(1, round(part * self.num_buffered)),
        )
