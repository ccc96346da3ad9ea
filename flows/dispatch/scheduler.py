"""Which ready work may start: bounded by resource, fair between corpora, later stages first.

Pure bookkeeping: knows neither Prefect nor threads.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from itertools import count
from typing import Final

from flows.state.frontier import Unit
from tasks.stages import STAGE_NAMES

_Queue = list[tuple[int, int, Unit]]
_LATER_FIRST: Final = {name: -number for number, name in enumerate(STAGE_NAMES)}


class Scheduler:
    """Hands out units as slots of their resources become free.

    Corpora take turns on each resource, so that none waits behind the backlog of another. Within a
    corpus later stages come first, then what was ready first.
    """

    def __init__(
        self, resource_of: Callable[[Unit], str], capacity_of: Callable[[str], int]
    ) -> None:
        self._resource_of = resource_of
        self._capacity_of = capacity_of
        self._waiting: dict[str, OrderedDict[str, _Queue]] = {}
        self._running: Counter[str] = Counter()
        self._order = count()

    def add(self, units: Iterable[Unit]) -> None:
        """Let further units wait for a slot."""
        for unit in units:
            by_corpus = self._waiting.setdefault(self._resource_of(unit), OrderedDict())
            queue = by_corpus.setdefault(unit.corpus, [])
            heappush(queue, (_LATER_FIRST[unit.stage], next(self._order), unit))

    def start(self) -> Iterator[Unit]:
        """The units that may start now; each occupies a slot until it is released."""
        for resource, by_corpus in self._waiting.items():
            while by_corpus and self._running[resource] < self._capacity_of(resource):
                corpus, queue = next(iter(by_corpus.items()))
                _, _, unit = heappop(queue)
                if queue:
                    by_corpus.move_to_end(corpus)
                else:
                    del by_corpus[corpus]
                self._running[resource] += 1
                yield unit

    def release(self, unit: Unit) -> None:
        """Free the slot of a unit that has ended."""
        self._running[self._resource_of(unit)] -= 1

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not any(self._running.values()) and not any(self._waiting.values())
