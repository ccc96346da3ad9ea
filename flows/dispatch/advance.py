"""Work through a source of units: each starts as soon as its inputs exist and a slot is free.

There are no barriers: what a finished unit opens waits for a slot of its resource and nothing else.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from queue import SimpleQueue
from typing import Final, Protocol

from configs.schema import Runtime
from flows.dispatch.back_pressure import BackPressure
from flows.dispatch.lane import Ended, Lane
from flows.dispatch.progress import StageBars
from flows.dispatch.ray import cluster_capacity, is_spread
from flows.dispatch.scheduler import Scheduler
from flows.state.frontier import Unit
from storage.receipt import Receipt
from tasks.run import ShardFailed
from tasks.stage import Resource

ELSEWHERE: Final = "elsewhere"
"""The resource of units that a deployment makes in another work pool, which has limits itself."""

_UNLIMITED: Final = 1 << 30


class Source(Protocol):
    """Where units come from."""

    def start(self) -> Sequence[Unit]:
        """Everything that is ready now."""

    def finished(self, unit: Unit, receipt: Receipt) -> Sequence[Unit]:
        """What a finished unit has opened."""

    def failed(self, unit: Unit) -> None:
        """Nothing follows from a unit that failed."""

    def may_open(self, corpus: str, stage: str) -> bool:
        """Whether units of a stage may still come, or have not ended."""


class FixedUnits:
    """A source that knows all its units from the start, such as evaluations."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self._units = units
        self._open = Counter((unit.corpus, unit.stage) for unit in units)

    def start(self) -> Sequence[Unit]:
        """All of them."""
        return self._units

    def finished(self, unit: Unit, receipt: Receipt) -> Sequence[Unit]:
        """Nothing more."""
        self.failed(unit)
        return ()

    def failed(self, unit: Unit) -> None:
        """Nothing follows."""
        self._open[unit.corpus, unit.stage] -= 1

    def may_open(self, corpus: str, stage: str) -> bool:
        """Whether some of them have not ended."""
        return self._open[corpus, stage] > 0


def capacity(runtime: Runtime, resource: str) -> int:
    """How many units may occupy a resource at once: `cpu`, `device`, `network HOST`."""
    kind = resource.split(" ")[0]
    if kind == ELSEWHERE:
        return _UNLIMITED
    if kind == "ray":
        return cluster_capacity(runtime, resource.removeprefix("ray "))
    if kind == Resource.DEVICE:
        return max(1, len(runtime.devices))
    if kind == Resource.NETWORK and resource != Resource.NETWORK:
        return runtime.downloads_per_host
    return runtime.workers


def advance(
    source: Source,
    runtime: Runtime,
    open_lane: Callable[[str, str, Callable[[Ended], None]], Lane],
    bars: StageBars,
    *,
    is_elsewhere: Callable[[str], bool] = lambda stage: False,
    on_end: Callable[[Ended], None] = lambda ended: None,
) -> list[ShardFailed]:
    """Make every unit of a source; returns those that failed, in the order in which they did.

    `open_lane(stage, corpus, report)` opens where units of a stage and corpus are made. A unit that
    fails stops no other. `on_end` is called after what a unit has opened got a slot.
    """

    def resource_of(unit: Unit) -> str:
        if is_elsewhere(unit.stage):
            return ELSEWHERE
        return f"ray {unit.stage}" if is_spread(runtime, unit.stage) else unit.resource

    scheduler = Scheduler(resource_of, lambda resource: capacity(runtime, resource))
    events: SimpleQueue[Ended] = SimpleQueue()
    lanes = _Lanes(lambda stage, corpus: open_lane(stage, corpus, events.put))
    failures: list[ShardFailed] = []
    with closing(lanes):
        lanes.put(scheduler, bars, source.start())
        while not scheduler.is_idle:
            ended = events.get()
            scheduler.release(ended.unit)
            lanes.put(scheduler, bars)  # before what follows is found out, which takes a moment
            bars.end(ended.unit, is_done=not isinstance(ended.result, ShardFailed))
            if isinstance(ended.result, ShardFailed):
                failures.append(ended.result)
                source.failed(ended.unit)
            else:
                lanes.put(scheduler, bars, source.finished(ended.unit, ended.result))
            lanes.close_unless(source.may_open)
            on_end(ended)
    return failures


class _Lanes:
    """The open lanes, by corpus and stage."""

    def __init__(self, open_lane: Callable[[str, str], Lane]) -> None:
        self._open_lane = open_lane
        self._open: dict[tuple[str, str], Lane] = {}
        self._closed: list[Lane] = []
        self._back_pressure = BackPressure()

    def put(self, scheduler: Scheduler, bars: StageBars, units: Sequence[Unit] = ()) -> None:
        """Let `units` wait, and put everything that may start into its lane."""
        bars.add(units)
        scheduler.add(units)
        for unit in scheduler.start():
            self._back_pressure.before_submit()
            name = (unit.corpus, unit.stage)
            if name not in self._open:
                self._open[name] = self._open_lane(unit.stage, unit.corpus)
            self._open[name].put(unit)

    def close_unless(self, may_open: Callable[[str, str], bool]) -> None:
        """Close the lanes for which nothing more comes."""
        for name in [one for one in self._open if not may_open(*one)]:
            self._closed.append(self._open.pop(name))
            self._closed[-1].close()

    def close(self) -> None:
        """Close all lanes and wait for them."""
        self.close_unless(lambda corpus, stage: False)
        for lane in self._closed:
            lane.join()
