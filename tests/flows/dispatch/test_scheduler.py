"""Which ready units start: within the capacity of their resource, corpora in turn."""

from flows.dispatch.scheduler import Scheduler
from flows.state.frontier import Unit
from storage.shard import ShardKey
from storage.stage import Place

CAPACITY = {"cpu": 2, "device": 1, "network": 4}


def unit(stage: str, corpus: str, index: int = 0, resource: str = "cpu") -> Unit:
    key = ShardKey(corpus, "train", index)
    return Unit(
        stage=stage,
        place=Place(stage=stage, fingerprint="f" * 16, key=key),
        resource=resource,
    )


def scheduler() -> Scheduler:
    return Scheduler(lambda one: one.resource, CAPACITY.__getitem__)


def names(units) -> list[str]:
    return [f"{one.stage} {one.corpus} {one.key.index}" for one in units]


def test_no_resource_is_given_more_than_it_holds() -> None:
    found = scheduler()
    found.add([unit("normalise", "a", index) for index in range(5)])
    found.add([unit("label", "a", index, "device") for index in range(5)])
    started = list(found.start())
    assert names(started) == ["normalise a 0", "normalise a 1", "label a 0"]
    assert list(found.start()) == []
    found.release(started[2])
    assert names(found.start()) == ["label a 1"]


def test_a_corpus_does_not_wait_behind_the_backlog_of_another() -> None:
    found = scheduler()
    found.add([unit("normalise", "large", index) for index in range(1000)])
    first = list(found.start())
    found.add([unit("normalise", "small", 0), unit("normalise", "small", 1)])
    order = []
    for one in first * 2:
        found.release(one)
        order += names(found.start())
    assert order[:4].count("normalise small 0") == order[:4].count("normalise small 1") == 1


def test_later_stages_come_first_within_a_corpus() -> None:
    found = scheduler()
    found.add([unit("normalise", "a"), unit("filter", "a"), unit("score", "a"), unit("plan", "a")])
    order = []
    while not found.is_idle:
        started = list(found.start())
        order += names(started)
        for one in started:
            found.release(one)
    assert order == ["filter a 0", "score a 0", "normalise a 0", "plan a 0"]


def test_it_is_idle_once_nothing_waits_and_nothing_runs() -> None:
    found = scheduler()
    assert found.is_idle
    found.add([unit("score", "a")])
    assert not found.is_idle
    (started,) = found.start()
    assert not found.is_idle
    found.release(started)
    assert found.is_idle
