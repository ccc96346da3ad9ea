"""How long three corpora take whose stages only wait, against the busiest resource alone.

    python -m benchmarks.overlap

Each corpus has ten shards; each shard takes the network for 3 s, a core for 2 s and the device for
2 s. They go through the code that the pipeline uses, with a Prefect server of their own: once as
the pipeline runs them, without barriers, and once in the old order, each stage for one corpus after
the other. `busiest_s` is what the busiest resource needs for all of it: no order can be faster.
Printed as one line of JSON, in seconds.
"""

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final

from benchmarks.finished_shards import receipt_of, write_config
from configs.load import load_config
from configs.schema import RunConfig
from flows.server.session import prefect_session
from flows.state.frontier import Unit
from storage.receipt import Receipt
from storage.shard import ShardKey
from storage.stage import Place
from tasks.job import Job

if TYPE_CHECKING:
    from flows.dispatch.advance import Source

SECONDS: Final = {"download": 3.0, "normalise": 2.0, "label": 2.0}
RESOURCES: Final = {"download": "network", "normalise": "cpu", "label": "device"}
CORPORA: Final = ("one", "two", "three")
NUM_SHARDS: Final = 10


def unit(stage: str, corpus: str, index: int) -> Unit:
    """A shard of a stage that only waits."""
    place = Place(stage=stage, fingerprint="0" * 16, key=ShardKey(corpus, "train", index))
    job = Job(place=place, sources=("0" * 64,), inputs={})
    return Unit(stage=stage, place=place, resource=RESOURCES[stage], job=job)


class Stubs:
    """Shards that go through all stages, each as soon as it is done with the one before."""

    def __init__(self) -> None:
        self._open: Counter[tuple[str, str]] = Counter()

    def start(self) -> Sequence[Unit]:
        """All downloads."""
        return self._given([unit("download", c, i) for c in CORPORA for i in range(NUM_SHARDS)])

    def finished(self, unit_: Unit, receipt: Receipt) -> Sequence[Unit]:
        """The next stage of the same shard."""
        self._open[unit_.corpus, unit_.stage] -= 1
        later = list(SECONDS)[list(SECONDS).index(unit_.stage) + 1 :]
        return self._given([unit(later[0], unit_.corpus, unit_.key.index)] if later else [])

    def failed(self, unit_: Unit) -> None:
        """No stub fails."""
        raise AssertionError(unit_)

    def may_open(self, corpus: str, stage: str) -> bool:
        """Whether this or an earlier stage has anything left to do."""
        stages = list(SECONDS)[: list(SECONDS).index(stage) + 1]
        return any(self._open[corpus, name] for name in stages)

    def _given(self, units: list[Unit]) -> list[Unit]:
        self._open.update((one.corpus, one.stage) for one in units)
        return units


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        config = write_config(folder, str(folder / "root"))
        with prefect_session(folder / "prefect") as wait_until_up:
            wait_until_up()
            found = _measured(config)
    sys.stdout.write(json.dumps(found) + "\n")


def _measured(config: Path) -> dict[str, float]:
    from flows.dispatch.advance import FixedUnits, capacity

    settings = load_config(config)
    busiest_s = max(
        len(CORPORA) * NUM_SHARDS * seconds / capacity(settings.runtime, RESOURCES[stage])
        for stage, seconds in SECONDS.items()
    )
    wall_s = _timed(lambda: _made(config, settings, Stubs()))

    def in_the_old_order() -> None:
        for stage in SECONDS:
            for c in CORPORA:
                units = [unit(stage, c, i) for i in range(NUM_SHARDS)]
                _made(config, settings, FixedUnits(units))

    old_order_s = _timed(in_the_old_order)
    return {"wall_s": wall_s, "old_order_s": old_order_s, "busiest_s": busiest_s}


def _made(config: Path, settings: RunConfig, source: "Source") -> None:
    from prefect import flow

    from benchmarks.stub_tasks import stub_tasks
    from flows.dispatch.runs import Runs

    def wait(job: Job) -> Receipt:
        time.sleep(SECONDS[job.place.stage])
        return receipt_of(job.place)

    @flow(name="distillery")
    def pipeline(config: str) -> None:
        runs = Runs(
            config=config,
            settings=settings,
            source=source,
            num_units=lambda corpus, stage: NUM_SHARDS,
            is_pipeline=True,
            task_of=stub_tasks(wait, settings.runtime),
        )
        assert not runs.make()

    pipeline(str(config))


def _timed(work: Callable[[], object]) -> float:
    started_s = perf_counter()
    work()
    return perf_counter() - started_s


if __name__ == "__main__":
    main()
