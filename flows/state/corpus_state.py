"""How far each corpus of a run is, from receipts alone: downloads, plans, and shards by stage."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, cached_property
from typing import Final, Self

from configs.schema import RunConfig
from flows.state.planning import files_to_plan, next_part
from flows.state.shard_state import ShardState
from storage.errors import IntegrityError
from storage.fingerprint import digest
from storage.receipt import FileRef, Receipt
from storage.receipts import Split
from storage.shard import ShardKey
from storage.stage import Place, combined_digest
from storage.store import Store
from tasks.corpora.base import Corpus
from tasks.corpora.registry import corpus_of_run
from tasks.download.parts import Downloads, Part, chosen_splits
from tasks.job import Job
from tasks.plan.parts import PlanParts, current_parts
from tasks.plan.shard import within
from tasks.stages import SHARD_STAGES, fingerprints, shard_stages, stage_named

_NUM_AT_ONCE: Final = 8


class EvaluationSpeech:
    """The index of all evaluation speech of a run: its files, and what is missing of it."""

    def __init__(self, states: Callable[[], Iterable["CorpusState"]]) -> None:
        self._states = states

    @property
    def files(self) -> tuple[FileRef, ...]:
        """The indexed shards."""
        shards = [one for state in self._states() for one in state.shards("validation", "test")]
        receipts = [one.receipts.get("index") for one in shards]
        return tuple(one.output for one in receipts if one is not None)

    @property
    def missing(self) -> list[str]:
        """What keeps the index from being complete: `download …`, `normalise …`, `index …`."""
        return [name for state in self._states() for name in state.missing("validation", "test")]

    @property
    def digest(self) -> str:
        """One digest of the whole index, or `incomplete`, which no fingerprint is ever made of."""
        return "incomplete" if self.missing else digest(sorted(one.sha256 for one in self.files))


class CorpusState:
    """The state of one corpus in a store at one moment: each folder is listed once.

    `add` brings it up to date with a receipt that has been made since.
    """

    def __init__(
        self,
        config: RunConfig,
        store: Store,
        corpus_name: str,
        evaluation: EvaluationSpeech | None = None,
    ) -> None:
        """`evaluation` may be shared by the states of a run, so that it is listed once."""
        self.config = config
        self.store = store
        self.corpus: Corpus = corpus_of_run(config, corpus_name)
        self.settings = config.corpora[corpus_name]
        self.filter = config.filter_of(corpus_name)
        self.evaluation = evaluation or EvaluationSpeech(
            cache(lambda: corpus_states(config, store))
        )
        self._splits: dict[str, Split] = {}
        self._plans: dict[str, PlanParts] = {}
        self._shards: dict[str, dict[ShardKey, ShardState]] = {}

    @classmethod
    def open(cls, config: RunConfig, corpus_name: str) -> Self:
        """The state of a corpus in the store of a configuration."""
        return cls(config, Store(config.root, config.runtime.scratch), corpus_name)

    @property
    def name(self) -> str:
        """The name of the corpus."""
        return self.corpus.name

    @cached_property
    def _fingerprints(self) -> Mapping[str, str]:
        return fingerprints(self.config, self.corpus)

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """Stage to fingerprint, those included that depend on all evaluation speech."""
        return fingerprints(self.config, self.corpus, self.index_digest)

    @property
    def index_digest(self) -> str | None:
        """The digest of the evaluation speech that must not be learnt from; None without such."""
        return self.evaluation.digest if self.waits_for_evaluation(*SHARD_STAGES) else None

    def waits_for_evaluation(self, *stages: str) -> bool:
        """Whether one of these stages needs the index of all evaluation speech."""
        return any(
            stage_named(name).needs_evaluation_index(self.config, self.name) for name in stages
        )

    def place(self, stage: str, key: ShardKey) -> Place:
        """Where a shard of a stage is kept."""
        known = self.fingerprints if self.waits_for_evaluation(stage) else self._fingerprints
        return Place(stage=stage, fingerprint=known[stage], key=key)

    def job(self, shard: ShardState, stage: str) -> Job:
        """What a worker needs to make `stage` of a shard whose earlier stages are done."""
        is_checked = self.waits_for_evaluation(stage)
        return Job(
            place=self.place(stage, shard.key),
            sources=shard.sources(stage),
            inputs={"plan": shard.plan}
            | {name: receipt.output for name, receipt in shard.receipts.items()},
            row_group=shard.row_group,
            evaluation_index=self.evaluation.files if is_checked else (),
        )

    def split(self, stage: str, split: str) -> Split:
        """The receipts and failures of one split."""
        folder = self.place(stage, ShardKey(self.name, split, 0)).folder
        if folder not in self._splits:
            self._splits[folder] = Split.load(self.store, folder)
        return self._splits[folder]

    @cached_property
    def downloads(self) -> Downloads:
        """What has to be downloaded, what exists of it, and what failed."""
        return Downloads.load(self.store, self.corpus, self.settings)

    def splits(self, *roles: str) -> tuple[str, ...]:
        """The chosen splits of these roles; of all roles when none is given."""
        chosen = chosen_splits(self.corpus, self.settings)
        return tuple(name for name in chosen if not roles or self.corpus.splits[name] in roles)

    def plan_receipts(self, split: str) -> tuple[Receipt, ...]:
        """The parts of a split's plan, in order, up to the first that is missing."""
        parts = self._parts_of_plan(split)
        return tuple(part for part in parts if part.key.index < next_part(parts))

    def _parts_of_plan(self, split: str) -> list[Receipt]:
        """All parts of a split's plan that exist, in order.

        Raises `IntegrityError` for a part that cannot be kept because one before it is missing:
        where annotations are read together, it is not known what that one was made of.
        """
        parts = list(self.plan(split).parts)
        number = next_part(parts)
        for part in [] if self.corpus.self_contained else parts:
            if part.key.index > number:
                path = self.place("plan", part.key).receipt_path(part.source_digest)
                raise IntegrityError(
                    f"{path} continues a plan whose part {number:05d} is missing", path
                )
        return parts

    def plan(self, split: str) -> PlanParts:
        """The parts of a split's plan that were made from the downloads as they are."""
        if split not in self._plans:
            receipts = self.split("plan", split).receipts
            self._plans[split] = current_parts(self.store, self.downloads, split, receipts)
        return self._plans[split]

    def unplanned_splits(self) -> dict[ShardKey, tuple[Receipt, ...]]:
        """The next part of each split's plan that has new files, with the files to read for it."""
        found: dict[ShardKey, tuple[Receipt, ...]] = {}
        for split in self.splits():
            parts = self._parts_of_plan(split)
            files = files_to_plan(
                self.downloads, split, parts, self_contained=self.corpus.self_contained
            )
            if files:
                found[ShardKey(self.name, split, next_part(parts))] = files
        return found

    def unready(self, *roles: str) -> list[str]:
        """What keeps splits of these roles from being planned: `download …`, `plan …`."""
        splits = self.splits(*roles)
        missing = [
            f"download {key}"
            for key, part in self.downloads.missing().items()
            if part.is_for(splits)
        ]
        return missing + [f"plan {key}" for key in self.unplanned_splits() if key.split in splits]

    def missing(self, *roles: str) -> list[str]:
        """What is still to do in splits of these roles: `download …`, `normalise …`."""
        unfinished = [one for one in self.shards(*roles) if not one.is_complete]
        return self.unready(*roles) + [f"{one.next_stage} {one.key}" for one in unfinished]

    def shards(self, *roles: str) -> list[ShardState]:
        """Every planned shard of the splits of these roles, within the limit on hours."""
        return [shard for split in self.splits(*roles) for shard in self.shards_of(split)]

    @property
    def next_stage(self) -> str | None:
        """The first stage, from the download to the filter, with something to do, or None."""
        if self.downloads.missing():
            return "download"
        if self.unplanned_splits():
            return "plan"
        waiting = {shard.next_stage for shard in self.shards()}
        return next((stage for stage in SHARD_STAGES if stage in waiting), None)

    def pending(self, stage: str) -> list[ShardState]:
        """The shards whose next stage is `stage`."""
        return [shard for shard in self.shards() if shard.next_stage == stage]

    def stages(self, split: str) -> tuple[str, ...]:
        """What the shards of a split go through."""
        return shard_stages(self.config, self.name, self.corpus.splits[split])

    def shards_of(self, split: str) -> list[ShardState]:
        """Every planned shard of a split within the limit on hours."""
        if split not in self._shards:
            self._shards[split] = {}
            self._extend(split)
        return list(self._shards[split].values())

    def shard(self, key: ShardKey) -> ShardState:
        """A planned shard; raises `KeyError` for one that is not planned."""
        return self._shards[key.split][key]

    def add(self, stage: str, key: ShardKey, receipt: Receipt, part: Part | None = None) -> None:
        """Take in a receipt that was made since the store was read."""
        before = self._plans
        if stage not in SHARD_STAGES:
            self._plans = {}
        if part is not None:
            receipts = {**self.downloads.receipts, key: receipt}
            self.downloads = replace(self.downloads, receipts=receipts)
            if part.is_listing:  # it names further files
                self.downloads = Downloads.load(self.store, self.corpus, self.settings)
            for split in [name for name in self._shards if before.get(name) != self.plan(name)]:
                self._extend(split)
        elif stage in SHARD_STAGES:
            self._shards[key.split][key].receipts[stage] = receipt
        else:
            for name in ("plan", *self.stages(key.split)):
                self._splits.pop(self.place(name, key).folder, None)
            self._extend(key.split)

    def evaluation_completed(self) -> None:
        """Look again at what depends on the index of all evaluation speech."""
        self.__dict__.pop("fingerprints", None)
        for split in self.splits("train"):
            for shard in self.shards_of(split):
                self._read_receipts(shard)

    def _extend(self, split: str) -> None:
        """Add the shards of the plan that are not there yet; a shard planned anew is another."""
        known = self._shards[split]
        rows = [
            (planned, part.output, row_group)
            for part in self.plan_receipts(split)
            for row_group, planned in enumerate(part.planned)
        ]
        num_taken = len(within([planned for planned, _, _ in rows], self.settings.limit_hours))
        stages = self.stages(split)
        self._shards[split] = {}
        for planned, plan, row_group in rows[:num_taken]:
            key = ShardKey(self.name, split, planned.index)
            shard = known.get(key)
            if shard is None or (shard.planned, shard.plan) != (planned, plan):
                shard = ShardState(key, planned, plan, row_group, stages, {})
                self._read_receipts(shard)
            self._shards[split][key] = shard

    def _read_receipts(self, shard: ShardState) -> None:
        while (stage := shard.next_stage) is not None:
            source = combined_digest(shard.sources(stage))
            receipt = self.split(stage, shard.key.split).find(shard.key, source)
            if receipt is None:
                return
            shard.receipts[stage] = receipt


def corpus_states(config: RunConfig, store: Store) -> Sequence[CorpusState]:
    """The state of each corpus of the configuration.

    On an object store, where each request waits for its answer, they are read concurrently.
    """
    found: list[CorpusState] = []
    evaluation = EvaluationSpeech(lambda: found)
    found += [CorpusState(config, store, name, evaluation) for name in config.corpora]
    if not store.is_local:
        with ThreadPoolExecutor(_NUM_AT_ONCE) as pool:
            for _ in pool.map(lambda state: state.shards("validation", "test"), found):
                continue
            for _ in pool.map(CorpusState.shards, found):
                continue
    return found
