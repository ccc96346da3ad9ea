"""What can be done next: work whose inputs all exist, in every corpus at once.

Knows receipts and the list of stages; knows neither Prefect nor threads. Each receipt that arrives
opens what it was the last missing input of.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from flows.state.corpus_state import CorpusState
from flows.state.shard_state import ShardState
from storage.receipt import Receipt
from storage.shard import ShardKey
from storage.stage import Place
from tasks.download.parts import Part, download_place, host_of
from tasks.job import Job
from tasks.stage import Resource
from tasks.stages import CORPUS_STAGES, SHARD_STAGES, stage_named

_PARTS = tuple(name for name in CORPUS_STAGES if name not in SHARD_STAGES)


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One piece of work that is ready: a file to download, a split to plan, or a shard to make.

    Exactly one of `part`, `files` and `job` is given. `resource` is what it occupies: `cpu`,
    `device`, or the network to one host.
    """

    stage: str
    place: Place
    resource: str
    part: Part | None = None
    files: tuple[Receipt, ...] = ()
    job: Job | None = None

    @property
    def key(self) -> ShardKey:
        """The shard; of a download the number of its file, of a plan that of its part."""
        return self.place.key

    @property
    def corpus(self) -> str:
        """The corpus that it belongs to."""
        return self.key.corpus


class Frontier:
    """The work of some corpora up to a stage that is ready, and what each finished unit opens.

    A unit is given out once: a shard that failed is not ready again. With `stages` only units of
    these are given out, the others are somebody else's. `given` are units that were given out
    before.
    """

    def __init__(
        self,
        states: Sequence[CorpusState],
        until: str,
        stages: Sequence[str] = CORPUS_STAGES,
        given: Collection[tuple[str, ShardKey]] = (),
    ) -> None:
        last = CORPUS_STAGES.index(until) if until in CORPUS_STAGES else len(CORPUS_STAGES) - 1
        self._stages = tuple(name for name in CORPUS_STAGES[: last + 1] if name in stages)
        self._states = {state.name: state for state in states}
        self._given = set(given)
        self._open: Counter[tuple[str, str]] = Counter()
        self._num_given: Counter[tuple[str, str]] = Counter()
        self._held: set[str] = set()  # corpora of whose plan a download is made again
        self._num_training = 0  # units under way on which training data depends
        self._is_evaluation_complete = self._evaluation_complete()

    def start(self) -> list[Unit]:
        """Everything that is ready now."""
        found = [unit for state in self._states.values() for unit in self._of_corpus(state)]
        return self._give(found)

    def finished(self, unit: Unit, receipt: Receipt) -> list[Unit]:
        """What `unit` has opened."""
        state = self._states[unit.corpus]
        self._end(unit)
        state.add(unit.stage, unit.key, receipt, unit.part)
        opened = list(self._opened_by(state, unit))
        if not self._is_evaluation_complete and self._concerns(unit, "validation", "test"):
            self._is_evaluation_complete = self._evaluation_complete()
            for waiting in self._states.values() if self._is_evaluation_complete else ():
                if waiting.waits_for_evaluation(*SHARD_STAGES):
                    waiting.evaluation_completed()
                    opened += self._shards(waiting, waiting.shards("train"))
        return self._give(opened)

    def failed(self, unit: Unit) -> None:
        """Note that nothing follows from `unit` in this run."""
        self._end(unit)

    @property
    def is_training_complete(self) -> bool:
        """Whether every training shard has gone through all its stages."""
        if self._num_training:
            return False
        return not any(state.missing("train") for state in self._states.values())

    def may_open(self, corpus: str, stage: str) -> bool:
        """Whether units of `stage` may still come, from work of the corpus that is under way."""
        before = self._stages[: self._stages.index(stage) + 1]
        if any(self._open[corpus, name] for name in before):
            return True
        is_waiting = not self._is_evaluation_complete and any(self._open.values())
        return is_waiting and self._states[corpus].waits_for_evaluation(*before)

    def blocked(self) -> Iterator[tuple[str, ShardKey, str]]:
        """Stage, shard and reason of what could be done if all evaluation speech were indexed."""
        if self._is_evaluation_complete:
            return
        for state in self._states.values():
            for shard in state.shards("train"):
                stage = shard.next_stage
                if stage in self._stages and state.waits_for_evaluation(stage):
                    missing = state.evaluation.missing
                    shown = f"{', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}"
                    yield (
                        stage,
                        shard.key,
                        "the contamination rule needs all evaluation speech, and"
                        f" {len(missing)} shards of it are missing: {shown}",
                    )

    def num_units(self, corpus: str, stage: str) -> int:
        """How many units of `stage` have been given out for a corpus so far."""
        return self._num_given[corpus, stage]

    def _evaluation_complete(self) -> bool:
        waiting = [s for s in self._states.values() if s.waits_for_evaluation(*SHARD_STAGES)]
        return all(not state.evaluation.missing for state in waiting[:1])

    def _give(self, units: Sequence[Unit]) -> list[Unit]:
        new = [
            unit
            for unit in units
            if unit.stage in self._stages and (unit.stage, unit.key) not in self._given
        ]
        for unit in new:
            self._given.add((unit.stage, unit.key))
            self._open[unit.corpus, unit.stage] += 1
            self._num_given[unit.corpus, unit.stage] += 1
            self._num_training += self._concerns(unit, "train")
        return new

    def _end(self, unit: Unit) -> None:
        self._open[unit.corpus, unit.stage] -= 1
        self._num_training -= self._concerns(unit, "train")

    def _concerns(self, unit: Unit, *roles: str) -> bool:
        """Whether splits of these roles depend on a unit."""
        splits = self._states[unit.corpus].splits(*roles)
        return unit.part.is_for(splits) if unit.part is not None else unit.key.split in splits

    def _opened_by(self, state: CorpusState, unit: Unit) -> Iterator[Unit]:
        if unit.stage in SHARD_STAGES:
            yield from self._shards(state, [state.shard(unit.key)])
        elif unit.part is None:
            yield from self._shards(state, state.shards_of(unit.key.split))
        else:
            if unit.part.is_listing:
                yield from self._downloads(state)
            yield from self._plans(state)
            if state.name in self._held and self._are_decided(state):
                self._held.remove(state.name)
                yield from self._shards(state, state.shards())

    @staticmethod
    def _are_decided(state: CorpusState) -> bool:
        return all(state.plan(split).is_decided for split in state.splits())

    def _of_corpus(self, state: CorpusState) -> Iterator[Unit]:
        yield from self._downloads(state)
        yield from self._plans(state)
        yield from self._shards(state, state.shards())

    def _downloads(self, state: CorpusState) -> Iterator[Unit]:
        for key, part in state.downloads.missing().items():
            host = host_of(state.settings, part.source)
            yield Unit(
                stage=_PARTS[0],
                place=download_place(state.corpus, key),
                resource=f"{Resource.NETWORK} {host}" if host else str(Resource.NETWORK),
                part=part,
            )

    def _plans(self, state: CorpusState) -> Iterator[Unit]:
        for key, files in state.unplanned_splits().items():
            yield Unit(
                stage=_PARTS[1],
                place=state.place(_PARTS[1], key),
                resource=str(Resource.CPU),
                files=files,
            )

    def _shards(self, state: CorpusState, shards: Iterable[ShardState]) -> Iterator[Unit]:
        for shard in shards:
            stage = shard.next_stage
            if stage is None or stage not in self._stages or (stage, shard.key) in self._given:
                continue
            if state.waits_for_evaluation(stage) and not self._is_evaluation_complete:
                continue
            if not state.plan(shard.key.split).is_decided:
                self._held.add(state.name)
                continue
            job = state.job(shard, stage)
            resource = str(stage_named(stage).resource)
            yield Unit(stage=stage, place=job.place, resource=resource, job=job)
