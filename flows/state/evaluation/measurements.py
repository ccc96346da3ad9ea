"""The shards of held-out speech that are to be measured, for each model and condition."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from configs.evaluate import TEACHER
from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState
from flows.state.evaluation.measured_models import measured_models
from flows.state.models import held_out
from flows.state.publication import HolesError
from flows.state.shard_state import ShardState
from storage.receipt import FileRef, Receipt
from storage.receipts import Failure, Split
from storage.shard import ShardKey
from storage.stage import Place, combined_digest
from storage.store import Store
from tasks.evaluate.conditions import Condition, conditions
from tasks.evaluate.coverage import Coverage
from tasks.evaluate.findings import CLEAN
from tasks.evaluate.models import MeasuredModel
from tasks.evaluate.result import Measured
from tasks.job import Job
from tasks.stages import evaluation_fingerprint

_MAX_BABBLE_FILES: Final = 64  # each is read to choose the speakers of babble


@dataclass(frozen=True)
class Measurement:
    """A held-out shard, a model and a condition: the job, its receipt or else its last failure."""

    model: MeasuredModel
    job: Job
    receipt: Receipt | None
    failure: Failure | None = None

    @property
    def condition(self) -> Condition:
        """The condition under which it is measured."""
        return self.job.condition

    @property
    def key(self) -> ShardKey:
        """The shard that the model is evaluated on."""
        return self.job.place.key

    @property
    def set(self) -> str:
        """`corpus/split`."""
        return f"{self.key.corpus}/{self.key.split}"

    @property
    def audio(self) -> FileRef:
        """The normalised speech."""
        return self.job.inputs["normalise"]


def measurements(
    config: RunConfig, store: Store, states: Sequence[CorpusState], student: Receipt
) -> list[Measurement]:
    """Every held-out shard of every corpus, for each model and condition.

    Models whose encoders may be the same follow each other under each condition, so that its output
    is computed once. Raises `HolesError` when held-out speech is missing, or when there is none at
    all, and what `measured_models` raises.
    """
    shards = {state.name: _evaluated(config, state) for state in states}
    if not any(shards.values()):
        role = config.evaluate.split_role
        raise HolesError(f"not evaluated: no chosen split is {role} speech")
    splits: dict[str, Split] = {}
    return [
        _measurement(store, splits, model, job)
        for model, condition in _pairs(config, list(measured_models(config, student)))
        for state in states
        for job in _jobs(config, state, shards, model, condition)
    ]


def _pairs(
    config: RunConfig, models: Sequence[MeasuredModel]
) -> Iterator[tuple[MeasuredModel, Condition]]:
    related = [one for one in models if one.has_teachers_encoder]
    for condition in conditions(config.evaluate):
        yield from ((model, condition) for model in related)
    for model in models:
        if model not in related:
            for condition in conditions(config.evaluate):
                if not (model.engine == "ctc" and condition.algorithm == "sequential"):
                    yield model, condition


def _jobs(
    config: RunConfig,
    state: CorpusState,
    shards: Mapping[str, Sequence[ShardState]],
    model: MeasuredModel,
    condition: Condition,
) -> Iterator[Job]:
    identity = model.identity.removeprefix("sha256:")[:8].replace("/", "-")
    above = f"{model.name}-{identity}"
    babble: tuple[FileRef, ...] = ()
    if condition.noise is not None and condition.noise.kind == "babble":
        babble = babble_files(shards)
    num_shards = Counter(shard.key.split for shard in shards[state.name])
    shared = {split: _shared(config, condition, num) for split, num in num_shards.items()}
    # once each, since that of a folder of noise looks at all of its files
    fingerprints = {
        one: evaluation_fingerprint(config, state.corpus, model, one)
        for one in set(shared.values())
    }
    for shard in shards[state.name]:
        audio = _audio(shard)
        here = shared[shard.key.split]
        yield Job(
            place=Place(
                stage="evaluate",
                fingerprint=fingerprints[here],
                key=shard.key,
                model=above if condition.name == CLEAN else f"{above}-{condition.name}",
            ),
            sources=(audio.sha256, *(one.sha256 for one in babble)),
            inputs={"normalise": audio},
            model=model,
            condition=here,
            babble=babble,
        )


def _shared(config: RunConfig, condition: Condition, num_shards: int) -> Condition:
    """The condition with an equal share of a split's utterances for each of its shards."""
    if condition.noise is None or config.evaluate.noise is None:
        return condition
    share = math.ceil(config.evaluate.noise.num_utterances / num_shards)
    return replace(condition, noise=replace(condition.noise, num_utterances=share))


def babble_files(shards: Mapping[str, Sequence[ShardState]]) -> tuple[FileRef, ...]:
    """The held-out speech that babble is mixed from: shards spread over all corpora."""
    files = [_audio(shard) for of_corpus in shards.values() for shard in of_corpus]
    step = -(-len(files) // _MAX_BABBLE_FILES)
    return tuple(files[::step]) if files else ()


def _audio(shard: ShardState) -> FileRef:
    return shard.receipts["normalise"].output


def _measurement(
    store: Store, splits: dict[str, Split], model: MeasuredModel, job: Job
) -> Measurement:
    folder, key = job.place.folder, job.place.key
    if folder not in splits:
        splits[folder] = Split.load(store, folder)
    receipt = splits[folder].find(key, combined_digest(job.sources))
    failure = next((one for one in splits[folder].failures if one.key == key), None)
    return Measurement(model, job, receipt, None if receipt else failure)


def measured(found: Sequence[Measurement]) -> list[Measured]:
    """The finished ones of some measurements, as a report takes them."""
    return [
        Measured(one.model.name, one.condition.name, one.receipt)
        for one in found
        if one.receipt is not None
    ]


def by_corpus(found: Sequence[Measurement], model: str) -> Mapping[str, list[Receipt]]:
    """Corpus to the receipts of one model's finished measurements of single utterances."""
    grouped: dict[str, list[Receipt]] = {}
    for one in measured(found):
        if one.model == model and one.condition == CLEAN:
            grouped.setdefault(one.receipt.key.corpus, []).append(one.receipt)
    return grouped


def evaluation_coverage(
    config: RunConfig, states: Sequence[CorpusState], found: Sequence[Measurement]
) -> Mapping[str, Coverage]:
    """How much was measured of each corpus with splits to evaluate on.

    The teacher's receipts stand for all models, since nothing that excludes an utterance depends
    on the model.
    """
    role = config.evaluate.split_role
    of_teacher = by_corpus(found, TEACHER)
    return {
        state.name: Coverage.of(
            [part for split in state.splits(role) for part in state.plan_receipts(split)],
            [shard.receipts["normalise"] for shard in _evaluated(config, state)],
            of_teacher.get(state.name, ()),
        )
        for state in states
        if state.splits(role)
    }


def _evaluated(config: RunConfig, state: CorpusState) -> list[ShardState]:
    """The shards of a corpus to evaluate on; raises as `held_out`."""
    settings = config.evaluate
    return held_out(state, settings.split_role, "not evaluated", settings.limit_hours)
