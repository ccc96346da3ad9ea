"""The models of a run, from receipts: the student, and the evaluations of both models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState
from flows.state.publication import HolesError, find_current
from flows.state.shard_state import ShardState
from storage.errors import IntegrityError, UserError
from storage.manifest import Manifest
from storage.receipt import FileRef, Receipt
from storage.receipts import Failure, Split
from storage.shard import ShardKey
from storage.stage import Place, combined_digest
from storage.store import Store
from tasks.distil.progress.rows import TRAINING_FILE, TrainingRow, from_lines
from tasks.evaluate.coverage import Coverage
from tasks.evaluate.result import Report, load_report, report_path
from tasks.job import Job
from tasks.plan.shard import within
from tasks.stages import evaluation_fingerprint, student_fingerprint
from tasks.whisper.identity import teacher_identity

TEACHER: Final = "teacher"
STUDENT: Final = "student"


@dataclass(frozen=True)
class Measurement:
    """One shard of held-out speech and one model: the job, its receipt or else its last failure."""

    model: str
    job: Job
    receipt: Receipt | None
    failure: Failure | None = None

    @property
    def key(self) -> ShardKey:
        """The shard that the model is evaluated on."""
        return self.job.place.key

    @property
    def audio(self) -> FileRef:
        """The normalised speech."""
        return self.job.inputs["normalise"]


def student_receipt_path(
    config: RunConfig, published: Manifest, validation: Sequence[tuple[str, FileRef]]
) -> str:
    """The path of the receipt of a manifest's student, selected on `validation`."""
    digests = [file.sha256 for _, file in validation]
    return f"distil/{student_fingerprint(config, published.digest, digests)}/student.receipt.json"


def find_student(
    config: RunConfig, store: Store, states: Sequence[CorpusState], published: Manifest
) -> Receipt | None:
    """The student of a manifest, or None while it is not trained; raises as `validation_audio`."""
    path = student_receipt_path(config, published, validation_audio(states))
    try:
        return Receipt.parse(store.read(path), path)
    except FileNotFoundError:
        return None


def read_training(
    config: RunConfig, store: Store, states: Sequence[CorpusState]
) -> list[TrainingRow]:
    """The rows of all updates of the student; raises `UserError` if it is not trained yet."""
    published = find_current(config, store, states)
    student = find_student(config, store, states, published) if published else None
    if student is None:
        raise UserError(
            "no student is trained on the shards as they are now; `distillery run CONFIG` trains"
            " it, and its page in Prefect shows the curves meanwhile"
        )
    files = [file for file in student.beside if file.path.endswith(f"/{TRAINING_FILE}")]
    if not files:
        raise IntegrityError(f"the student {student.output.path} has no {TRAINING_FILE}")
    with store.fetch(files[0]) as path:
        return from_lines(path.read_text(encoding="utf-8"), files[0].path)


def validation_audio(states: Sequence[CorpusState]) -> list[tuple[str, FileRef]]:
    """Normalised validation shards, each with its set, `corpus/split`.

    Raises `HolesError` if any is missing.
    """
    return [
        (f"{shard.key.corpus}/{shard.key.split}", shard.receipts["normalise"].output)
        for state in states
        for shard in _held_out(state, "validation", "not distilled")
    ]


def measurements(
    config: RunConfig, store: Store, states: Sequence[CorpusState], student: Receipt
) -> list[Measurement]:
    """Every held-out shard of every corpus, for the teacher and for the student.

    Raises `HolesError` when held-out speech is missing, or when there is none at all.
    """
    found = [
        one
        for state in states
        for model, receipt in ((TEACHER, None), (STUDENT, student))
        for one in _of_model(config, store, state, model, receipt)
    ]
    if not found:
        role = config.evaluate.split_role
        raise HolesError(f"not evaluated: no chosen split is {role} speech")
    return found


def find_report(
    config: RunConfig, store: Store, states: Sequence[CorpusState], published: Manifest | None
) -> Report | None:
    """The report on the teacher and the student of a manifest, or None if there is none yet."""
    student = find_student(config, store, states, published) if published else None
    if student is None:
        return None
    found = measurements(config, store, states, student)
    if any(one.receipt is None for one in found):
        return None
    measured = by_corpus(found, TEACHER), by_corpus(found, STUDENT)
    coverage = evaluation_coverage(config, states, found)
    return load_report(store, report_path(config.publish.name, *measured, coverage))


def _held_out(
    state: CorpusState, role: str, consequence: str, limit_hours: float | None = None
) -> list[ShardState]:
    """The normalised shards of a role; raises `HolesError` naming those that are missing."""
    shards = state.shards(role)
    taken = shards[: len(within([shard.planned for shard in shards], limit_hours))]
    missing = state.unready(role) + [
        f"{shard.next_stage} {shard.key}" for shard in taken if not shard.is_complete
    ]
    if missing:
        raise HolesError(f"{consequence}: {role} speech is missing: {', '.join(missing[:5])}")
    return taken


def by_corpus(found: Sequence[Measurement], model: str) -> Mapping[str, list[Receipt]]:
    """Corpus to the receipts of one model's finished measurements."""
    grouped: dict[str, list[Receipt]] = {}
    for one in found:
        if one.model == model and one.receipt is not None:
            grouped.setdefault(one.key.corpus, []).append(one.receipt)
    return grouped


def evaluation_coverage(
    config: RunConfig, states: Sequence[CorpusState], found: Sequence[Measurement]
) -> Mapping[str, Coverage]:
    """How much was measured of each corpus with splits to evaluate on.

    The teacher's receipts stand for both models, since nothing that excludes an utterance depends
    on the model.
    """
    role = config.evaluate.split_role
    measured = by_corpus(found, TEACHER)
    return {
        state.name: Coverage.of(
            [part for split in state.splits(role) for part in state.plan_receipts(split)],
            [shard.receipts["normalise"] for shard in _evaluated(config, state)],
            measured.get(state.name, ()),
        )
        for state in states
        if state.splits(role)
    }


def _evaluated(config: RunConfig, state: CorpusState) -> list[ShardState]:
    """The shards of a corpus to evaluate on; raises as `_held_out`."""
    settings = config.evaluate
    return _held_out(state, settings.split_role, "not evaluated", settings.limit_hours)


def _of_model(
    config: RunConfig, store: Store, state: CorpusState, model: str, student: Receipt | None
) -> list[Measurement]:
    identity = student.output.sha256 if student else teacher_identity(config.label.teacher)
    name = f"{model}-{identity.removeprefix('sha256:')[:8].replace('/', '-')}"
    found: list[Measurement] = []
    splits: dict[str, Split] = {}
    for shard in _evaluated(config, state):
        place = Place(
            stage="evaluate",
            fingerprint=evaluation_fingerprint(config, state.corpus, identity),
            key=shard.key,
            model=name,
        )
        audio = shard.receipts["normalise"].output
        job = Job(
            place=place, sources=(audio.sha256,), inputs={"normalise": audio}, student=student
        )
        if place.folder not in splits:
            splits[place.folder] = Split.load(store, place.folder)
        split = splits[place.folder]
        receipt = split.find(shard.key, combined_digest(job.sources))
        failure = next((one for one in split.failures if one.key == shard.key), None)
        found.append(Measurement(model, job, receipt, None if receipt else failure))
    return found
