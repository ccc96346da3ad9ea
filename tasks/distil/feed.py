"""The examples of a training, prepared ahead on threads."""

import time
from collections.abc import Generator
from contextlib import closing
from itertools import islice

from tasks.distil.batch import Prepared, Preparer
from tasks.distil.parallel.processes import ALONE, Processes
from tasks.read_ahead import read_ahead
from tasks.reading.examples import ExampleSource


class Feed:
    """Prepared batches from a position in a source, and the share of time spent waiting for them.

    Of several `processes` each has its own rows of every batch. Nothing is read before the first
    batch is taken; close it to stop its threads.
    """

    def __init__(
        self,
        examples: ExampleSource,
        preparer: Preparer,
        *,
        num_consumed: int,
        batch_size: int,
        num_threads: int,
        processes: Processes = ALONE,
    ) -> None:
        self._num_rows = processes.num_rows(batch_size)
        self._prepared: Generator[Prepared, None, None] = read_ahead(
            processes.share(examples.stream(num_consumed), batch_size),
            preparer,
            num_threads=num_threads,
            num_ahead=max(1, self._num_rows),
        )
        self._started_at = time.monotonic()
        self._waiting_s = 0.0

    def next_batch(self) -> list[Prepared]:
        """The rows of this process of the next batch."""
        asked_at = time.monotonic()
        rows = list(islice(self._prepared, self._num_rows))
        self._waiting_s += time.monotonic() - asked_at
        return rows

    @property
    def waiting_percent(self) -> float:
        """The share of the time since the start, in percent."""
        return 100 * self._waiting_s / max(time.monotonic() - self._started_at, 1e-9)

    def close(self) -> None:
        """Stop the threads."""
        self._prepared.close()


def first_rows(
    examples: ExampleSource, preparer: Preparer, num_rows: int, num_threads: int
) -> list[Prepared]:
    """The first rows of a source."""
    feed = Feed(examples, preparer, num_consumed=0, batch_size=num_rows, num_threads=num_threads)
    with closing(feed):
        return feed.next_batch()
