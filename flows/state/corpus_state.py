"""What is done and what is next, told by receipts alone: how far each planned shard came."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Self

from configs.schema import RunConfig
from storage.fingerprint import digest
from storage.receipt import FileRef, PlannedShard, Receipt
from storage.receipts import Split
from storage.shard import ShardKey
from storage.stage import Place, combined_digest
from storage.store import Store
from tasks.corpora.base import Corpus
from tasks.corpora.registry import corpus_of_run
from tasks.download.parts import Downloads, chosen_splits
from tasks.plan.shard import within
from tasks.stages import SHARD_STAGES, Stage, fingerprints, is_indexed, shard_stages
from tasks.work import Job

_NUM_AT_ONCE: Final = 8


@dataclass(frozen=True)
class ShardState:
    """One planned shard and the receipts that it has so far, by stage."""

    key: ShardKey
    planned: PlannedShard
    plan: FileRef
    row_group: int  # of the shard in the plan's file
    stages: tuple[str, ...]
    receipts: Mapping[str, Receipt]

    @property
    def is_complete(self) -> bool:
        """Whether the shard went through all its stages."""
        return self.next_stage is None

    @property
    def next_stage(self) -> str | None:
        """The first stage without a receipt; None when all are done."""
        return next((stage for stage in self.stages if stage not in self.receipts), None)

    def sources(self, stage: str) -> tuple[str, ...]:
        """The digests of what `stage` reads; only once the stages before it are done."""
        if stage == "normalise":
            return (self.planned.digest,)
        is_indexed = "index" in self.stages
        read = {
            "label": ("normalise",),
            "score": ("label", "normalise"),
            "index": ("normalise",),
            "filter": ("score", "index") if is_indexed else ("score",),
        }
        return tuple(self.receipts[name].output.sha256 for name in read[stage])


class EvaluationSpeech:
    """The index of all speech that a run measures on: its files, and what is still to come."""

    def __init__(self, config: RunConfig, store: Store) -> None:
        self._config = config
        self._store = store

    @cached_property
    def _links(self) -> list[tuple["CorpusState", list[ShardState]]]:
        found = [CorpusState(self._config, self._store, name) for name in self._config.corpora]
        return [(state, state.shards("validation", "test")) for state in found]

    @cached_property
    def files(self) -> tuple[FileRef, ...]:
        """The indexed shards."""
        shards = [shard for _, of_corpus in self._links for shard in of_corpus]
        return tuple(shard.receipts["index"].output for shard in shards if shard.is_complete)

    @cached_property
    def missing(self) -> list[str]:
        """What keeps the index from being whole: `download …`, `normalise …`, `index …`."""
        return [
            name
            for state, shards in self._links
            for name in (
                *state.unready("validation", "test"),
                *(f"{shard.next_stage} {shard.key}" for shard in shards if not shard.is_complete),
            )
        ]

    @property
    def digest(self) -> str:
        """One digest of all of it, or `incomplete`, of which no shard is ever made."""
        return "incomplete" if self.missing else digest(sorted(one.sha256 for one in self.files))


class CorpusState:
    """The state of one corpus in a store at one moment: each folder is listed once."""

    def __init__(
        self,
        config: RunConfig,
        store: Store,
        corpus_name: str,
        evaluation: EvaluationSpeech | None = None,
    ) -> None:
        """`evaluation` may be shared by the corpus_states of a run, so that it is listed once."""
        self.config = config
        self.store = store
        self.corpus: Corpus = corpus_of_run(config, corpus_name)
        self.settings = config.corpora[corpus_name]
        self.filter = config.filter_of(corpus_name)
        self.evaluation = evaluation or EvaluationSpeech(config, store)
        self._splits: dict[str, Split] = {}

    @classmethod
    def open(cls, config: RunConfig, corpus_name: str) -> Self:
        """The state of a corpus in the store of a configuration."""
        return cls(config, Store(config.root, config.runtime.scratch), corpus_name)

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """Stage to fingerprint."""
        return fingerprints(self.config, self.corpus, self.index_digest)

    @cached_property
    def _before_filter(self) -> Mapping[str, str]:
        """Stage to fingerprint for all but `filter`, which alone asks what others have indexed."""
        return fingerprints(self.config, self.corpus)

    @property
    def index_digest(self) -> str | None:
        """The digest of the speech that may not be learnt from; None where any may."""
        return None if self.filter.contamination is None else self.evaluation.digest

    def place(self, stage: str, key: ShardKey) -> Place:
        """Where a shard of a stage is kept."""
        known = self.fingerprints if stage == "filter" else self._before_filter
        return Place(stage=stage, fingerprint=known[stage], key=key)

    def job(self, shard: ShardState, stage: str) -> Job:
        """What a worker needs to make `stage` of a shard whose stages before it are done."""
        return Job(
            place=self.place(stage, shard.key),
            sources=shard.sources(stage),
            inputs={"plan": shard.plan}
            | {name: receipt.output for name, receipt in shard.receipts.items()},
            row_group=shard.row_group,
            evaluation_index=self.evaluation_index if stage == "filter" else (),
        )

    @property
    def evaluation_index(self) -> tuple[FileRef, ...]:
        """The files that `filter` asks for what may not be learnt from."""
        return () if self.filter.contamination is None else self.evaluation.files

    def split(self, stage: str, split: str) -> Split:
        """The receipts and failures of one split."""
        folder = self.place(stage, ShardKey(self.corpus.name, split, 0)).folder
        if folder not in self._splits:
            self._splits[folder] = Split.load(self.store, folder)
        return self._splits[folder]

    @cached_property
    def downloads(self) -> Downloads:
        """What is to be downloaded, what of it is here, and what failed."""
        return Downloads.load(self.store, self.corpus, self.settings)

    def splits(self, *roles: str) -> tuple[str, ...]:
        """The chosen splits of these roles; of all roles when none is given."""
        chosen = chosen_splits(self.corpus, self.settings)
        return tuple(name for name in chosen if not roles or self.corpus.splits[name] in roles)

    def plan_receipts(self, split: str) -> tuple[Receipt, ...]:
        """The parts of a split's plan, in order."""
        return tuple(sorted(self.split("plan", split).receipts, key=lambda part: part.key))

    def unplanned_splits(self) -> dict[ShardKey, tuple[Receipt, ...]]:
        """The next part of each split's plan that has new files, with all files that it needs.

        A split is planned only once all of these are there: an annotation whose audio is still to
        come is not one whose audio is missing.
        """
        done = self.downloads.receipts
        found: dict[ShardKey, tuple[Receipt, ...]] = {}
        for split in self.splits():
            wanted = self.downloads.of(split)
            parts = self.plan_receipts(split)
            planned = {source for part in parts for source in part.sources}
            files = tuple(done[key] for key in wanted if key in done)
            if len(files) == len(wanted) and any(f.output.sha256 not in planned for f in files):
                found[ShardKey(self.corpus.name, split, len(parts))] = files
        return found

    def unready(self, *roles: str) -> list[str]:
        """What keeps splits of these roles from being planned in full: `download …`, `plan …`."""
        splits = self.splits(*roles)
        missing = [
            f"download {key}"
            for key, part in self.downloads.missing().items()
            if part.is_for(splits)
        ]
        return missing + [f"plan {key}" for key in self.unplanned_splits() if key.split in splits]

    def shards(self, *roles: str) -> list[ShardState]:
        """Every planned shard of the splits of these roles, within the limit on hours."""
        return [shard for split in self.splits(*roles) for shard in self.shards_of(split)]

    @property
    def next_stage(self) -> Stage | None:
        """The first stage, from the download to the filter, with something to do; None: none."""
        if self.downloads.missing():
            return "download"
        if self.unplanned_splits():
            return "plan"
        waiting = {shard.next_stage for shard in self.shards()}
        return next((stage for stage in SHARD_STAGES if stage in waiting), None)

    def pending(self, stage: Stage) -> list[ShardState]:
        """The shards whose next stage is `stage`; what comes after it is not looked at."""
        return [
            shard
            for split in self.splits()
            for shard in self.shards_of(split, until=stage)
            if shard.next_stage == stage
        ]

    def stages(self, split: str) -> tuple[Stage, ...]:
        """What the shards of a split go through."""
        return shard_stages(self.config, self.corpus.name, self.corpus.splits[split])

    def shards_of(self, split: str, until: Stage = SHARD_STAGES[-1]) -> list[ShardState]:
        """Every planned shard of a split within the limit on hours, by its stages `until` one."""
        rows = [
            (planned, part.output, row_group)
            for part in self.plan_receipts(split)
            for row_group, planned in enumerate(part.planned)
        ]
        num_taken = len(within([planned for planned, _, _ in rows], self.settings.limit_hours))
        looked_at = SHARD_STAGES[: SHARD_STAGES.index(until) + 1]
        stages = tuple(stage for stage in self.stages(split) if stage in looked_at)
        found = {stage: self.split(stage, split) for stage in stages} if rows else {}
        shards: list[ShardState] = []
        for planned, plan, row_group in rows[:num_taken]:
            key = ShardKey(self.corpus.name, split, planned.index)
            receipts: dict[str, Receipt] = {}
            shard = ShardState(key, planned, plan, row_group, stages, receipts)
            for stage in stages:
                receipt = found[stage].find(key, combined_digest(shard.sources(stage)))
                if receipt is None:
                    break
                receipts[stage] = receipt
            shards.append(shard)
        return shards


def corpus_states(config: RunConfig, store: Store) -> Sequence[CorpusState]:
    """A state for each corpus of the configuration.

    From an object store, where each request waits for its answer, they are read side by side.
    """
    evaluation = EvaluationSpeech(config, store)
    found = [CorpusState(config, store, name, evaluation) for name in config.corpora]
    if not store.is_local:
        if is_indexed(config):
            _ = evaluation.missing  # which all of them ask for
        with ThreadPoolExecutor(_NUM_AT_ONCE) as pool:
            for _ in pool.map(CorpusState.shards, found):
                continue
    return found
