"""The student of a run and the speech that is held out from it, from receipts."""

from collections.abc import Sequence

from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState
from flows.state.publication import HolesError, find_current
from flows.state.shard_state import ShardState
from storage.errors import IntegrityError, UserError
from storage.manifest import Manifest
from storage.receipt import FileRef, Receipt
from storage.store import Store
from tasks.distil.progress.rows import TRAINING_FILE, TrainingRow, from_lines
from tasks.plan.shard import within
from tasks.stages import student_fingerprint


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
        for shard in held_out(state, "validation", "not distilled")
    ]


def held_out(
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
