"""Corpora that advance through their stages side by side, on lanes that a test controls."""

from collections import Counter
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread

import pytest

from configs.schema import Runtime
from flows.dispatch.advance import FixedUnits, advance
from flows.dispatch.lane import Ended
from flows.dispatch.progress import StageBars
from flows.state.frontier import Unit
from storage.receipt import Counts, FileRef, Receipt
from storage.shard import ShardKey
from storage.stage import Place
from tasks.run import ShardFailed

STAGES = {"download": "network", "normalise": "cpu", "label": "device"}
NUM_SHARDS = 3


def unit(stage: str, corpus: str, index: int) -> Unit:
    place = Place(stage=stage, fingerprint="f" * 16, key=ShardKey(corpus, "train", index))
    return Unit(stage=stage, place=place, resource=STAGES[stage])


def receipt(one: Unit) -> Receipt:
    file = FileRef(path="x", sha256="0" * 64, size_bytes=1)
    return Receipt(
        stage=one.stage, fingerprint="f", key=one.key, source_digest="0" * 64, output=file,
        counts=Counts(),
    )  # fmt: skip


class Chains:
    """Shards of which each stage is ready once the one before is done."""

    def __init__(self, *corpora: str) -> None:
        self.corpora = corpora
        self.open: Counter[tuple[str, str]] = Counter()

    def start(self) -> Sequence[Unit]:
        return self.given(
            [unit("download", corpus, i) for corpus in self.corpora for i in range(NUM_SHARDS)]
        )

    def finished(self, one: Unit, receipt: Receipt) -> Sequence[Unit]:
        self.open[one.corpus, one.stage] -= 1
        later = list(STAGES)[list(STAGES).index(one.stage) + 1 :]
        return self.given([unit(later[0], one.corpus, one.key.index)] if later else [])

    def failed(self, one: Unit) -> None:
        self.open[one.corpus, one.stage] -= 1

    def may_open(self, corpus: str, stage: str) -> bool:
        before = list(STAGES)[: list(STAGES).index(stage) + 1]
        return any(self.open[corpus, name] for name in before)

    def given(self, units: list[Unit]) -> list[Unit]:
        self.open.update((one.corpus, one.stage) for one in units)
        return units


class Lanes:
    """Lanes whose units a function ends, in one thread, in the order in which they started."""

    def __init__(self, make: Callable[[Unit], Receipt | ShardFailed | None]) -> None:
        self.make = make
        self.started: list[Unit] = []
        self.opened: list[tuple[str, str]] = []
        self.closed: list[tuple[str, str]] = []
        self._queue: SimpleQueue[tuple[Unit, Callable[[Ended], None]]] = SimpleQueue()
        Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            one, report = self._queue.get()
            if (result := self.make(one)) is None:
                self._queue.put((one, report))  # not yet
            else:
                report(Ended(one, result))

    def open(self, stage: str, corpus: str, report: Callable[[Ended], None]) -> "Lanes.Lane":
        self.opened.append((stage, corpus))
        return Lanes.Lane(self, (stage, corpus), report)

    class Lane:
        def __init__(self, lanes, name, report) -> None:
            self.lanes, self.name, self.report = lanes, name, report

        def put(self, one: Unit) -> None:
            self.lanes.started.append(one)
            self.lanes._queue.put((one, self.report))

        def close(self) -> None:
            self.lanes.closed.append(self.name)

        def join(self) -> None:
            return


def run(source: Chains, lanes: Lanes, **runtime: object) -> list[ShardFailed]:
    return advance(source, Runtime(**runtime), lanes.open, StageBars())


def test_every_shard_goes_through_every_stage() -> None:
    lanes = Lanes(receipt)
    assert run(Chains("a", "b"), lanes) == []
    done = {(one.stage, str(one.key)) for one in lanes.started}
    assert len(lanes.started) == len(done) == 2 * NUM_SHARDS * len(STAGES)


def test_a_shard_does_not_wait_for_its_stage_to_be_done_elsewhere() -> None:
    """One download of a hundred is under way until a label of another shard is done."""
    labelled: list[Unit] = []

    def make(one: Unit) -> Receipt | None:
        if one.stage == "label":
            labelled.append(one)
        is_slow = one.stage == "download" and one.key == ShardKey("a", "train", 2)
        return None if is_slow and not labelled else receipt(one)

    assert run(Chains("a"), Lanes(make)) == []
    assert len(labelled) == NUM_SHARDS


def test_a_corpus_that_makes_no_progress_delays_no_other() -> None:
    """Corpus a has no download done until b and c have gone through all their stages."""
    done: Counter[str] = Counter()

    def make(one: Unit) -> Receipt | None:
        if one.corpus == "a" and (done["b"], done["c"]) != (NUM_SHARDS, NUM_SHARDS):
            return None
        done[one.corpus] += one.stage == "label"
        return receipt(one)

    assert run(Chains("a", "b", "c"), Lanes(make), workers=4) == []
    assert done == {"a": NUM_SHARDS, "b": NUM_SHARDS, "c": NUM_SHARDS}


def test_a_failure_stops_what_follows_from_it_and_nothing_else() -> None:
    def make(one: Unit) -> Receipt | ShardFailed:
        if one.corpus == "a" and one.stage == "normalise" and one.key.index == 1:
            return ShardFailed(one.stage, one.key, "damaged")
        return receipt(one)

    lanes = Lanes(make)
    failures = run(Chains("a", "b"), lanes)
    assert [str(one) for one in failures] == ["normalise a/train/00001: damaged"]
    labels = [str(one.key) for one in lanes.started if one.stage == "label"]
    assert len(labels) == 2 * NUM_SHARDS - 1
    assert "a/train/00001" not in labels


def test_never_more_than_one_shard_is_on_a_device() -> None:
    lanes = Lanes(receipt)
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()

    def make(one: Unit) -> Receipt:
        running[one.resource] += 1
        most[one.resource] = max(most[one.resource], running[one.resource])
        running[one.resource] -= 1
        return receipt(one)

    lanes.make = make
    assert run(Chains("a", "b"), lanes, workers=3) == []
    assert most["device"] == 1


def test_lanes_are_closed_as_soon_as_nothing_more_comes() -> None:
    lanes = Lanes(receipt)
    run(Chains("a"), lanes)
    assert lanes.closed == [("download", "a"), ("normalise", "a"), ("label", "a")]
    assert lanes.opened == lanes.closed


def test_units_known_from_the_start_share_one_lane() -> None:
    units = [unit("label", "a", index) for index in range(NUM_SHARDS)]
    lanes = Lanes(receipt)
    assert advance(FixedUnits(units), Runtime(), lanes.open, StageBars()) == []
    assert lanes.started == units
    assert lanes.opened == lanes.closed == [("label", "a")]


def test_lanes_are_closed_when_the_source_fails() -> None:
    class Broken(Chains):
        def finished(self, one: Unit, receipt: Receipt) -> Sequence[Unit]:
            raise OSError("the store is gone")

    lanes = Lanes(receipt)
    with pytest.raises(OSError, match="the store is gone"):
        run(Broken("a"), lanes)
    assert lanes.closed == [("download", "a")]
