"""A weighted random mixture of several streams of examples."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from storage.errors import UserError
from tasks.reading.examples import Example, ExampleSource
from tasks.reading.partition import Consumer
from tasks.reading.shard_reader import Shard
from tasks.reading.shuffle import random_fractions

ShardT = TypeVar("ShardT", bound=Shard)

_MIX: Final = 0x6D6978
"""Makes these random numbers independent of those that shuffle an epoch."""


class Mixture:
    """Draws each example from one of several endless sources, at random by weight.

    The draws depend on seed, consumer and position in the stream alone.
    """

    def __init__(
        self,
        sources: Sequence[ExampleSource],
        weights: Sequence[float],
        *,
        seed: int,
        consumer: Consumer,
    ) -> None:
        """`weights` are positive, one per source."""
        self._sources = sources
        self._until = np.cumsum(weights) / np.sum(weights)
        self._names = (_MIX, consumer.num, consumer.index)
        self._seed = seed

    def stream(self, num_consumed: int = 0) -> Iterator[Example]:
        """The examples after the first `num_consumed`; endless."""
        drawn = np.zeros(len(self._sources), np.int64)
        streams: list[Iterator[Example]] = []
        for block in self._draws():
            num_before = int(drawn.sum())
            skipped = block[: max(0, num_consumed - num_before)]
            drawn += np.bincount(skipped, minlength=len(self._sources))
            rest = block[len(skipped) :]
            if rest.size and not streams:
                streams = [
                    source.stream(int(num))
                    for source, num in zip(self._sources, drawn, strict=True)
                ]
            drawn += np.bincount(rest, minlength=len(self._sources))
            for source in rest.tolist():
                yield next(streams[source])

    def _draws(self) -> Iterator[npt.NDArray[np.int64]]:
        for block in random_fractions(self._seed, *self._names):
            yield np.searchsorted(self._until[:-1], block, side="right")


def mixture_by_corpus(
    shards: Sequence[ShardT],
    weights: Mapping[str, float],
    make_source: Callable[[Sequence[ShardT], float], ExampleSource],
    *,
    seed: int,
    consumer: Consumer,
) -> Mixture:
    """A mixture of corpora, whose weights are their shares of the examples.

    `make_source` makes an endless source of shards, for so large a part of the examples. Raises
    `UserError` as `chosen_weights` does.
    """
    chosen = chosen_weights(weights, {shard.corpus for shard in shards})
    sources = [
        make_source(
            [shard for shard in shards if shard.corpus == corpus], weight / sum(chosen.values())
        )
        for corpus, weight in chosen.items()
    ]
    return Mixture(sources, list(chosen.values()), seed=seed, consumer=consumer)


def chosen_weights(weights: Mapping[str, float], corpora: Collection[str]) -> dict[str, float]:
    """The positive weights; raises `UserError` for negative ones and for unknown corpora."""
    unknown = [corpus for corpus in weights if corpus not in corpora]
    chosen = {corpus: weight for corpus, weight in weights.items() if weight > 0}
    if unknown or not chosen or any(weight < 0 for weight in weights.values()):
        raise UserError(
            f"weights are {dict(weights)}, expected non-negative numbers, at least one of them"
            f" positive, for corpora of the manifest: {', '.join(sorted(corpora))}"
        )
    return chosen
