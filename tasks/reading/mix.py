"""Several streams of examples as one, each with its chance."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from storage.errors import UserError
from tasks.reading.examples import Example, ExampleSource
from tasks.reading.order import random_fractions
from tasks.reading.share import Consumer

_MIX: Final = 0x6D6978
"""Sets these draws apart from those of an epoch's order."""


class Mixture:
    """Draws each example from one of `sources`, by chance and by weight; none of them ever ends.

    Which one is drawn is decided by seed, consumer and the number of examples before it.
    """

    def __init__(
        self,
        sources: Sequence[ExampleSource],
        weights: Sequence[float],
        *,
        seed: int,
        consumer: Consumer,
    ) -> None:
        """`weights` are above 0, one for each source."""
        self._sources = sources
        self._until = np.cumsum(weights) / np.sum(weights)
        self._names = (_MIX, consumer.num, consumer.index)
        self._seed = seed

    def stream(self, num_consumed: int = 0) -> Iterator[Example]:
        """The examples after the first `num_consumed`, without end."""
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


def chosen_weights(weights: Mapping[str, float], corpora: Collection[str]) -> dict[str, float]:
    """The weights above 0; raises `UserError` for a corpus that is not one of `corpora`."""
    unknown = [corpus for corpus in weights if corpus not in corpora]
    chosen = {corpus: weight for corpus, weight in weights.items() if weight > 0}
    if unknown or not chosen or any(weight < 0 for weight in weights.values()):
        raise UserError(
            f"weights are {dict(weights)}, expected numbers from 0, at least one above it, for"
            f" corpora of the manifest: {', '.join(sorted(corpora))}"
        )
    return chosen
