"""Whether stored files are unchanged, and which command repairs one that is not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.evaluation.measurements import measurements
from flows.state.models import (
    find_student,
    student_receipt_path,
    validation_audio,
)
from flows.state.publication import find_current
from flows.state.repair import Kind, Producer, repair_command
from storage import manifest
from storage.card import opened_card
from storage.checkpoints import StoreCheckpoints
from storage.errors import IntegrityError
from storage.manifest import Checked, Manifest
from storage.receipt import FileRef, Receipt
from storage.receipts import Failure, Summary
from storage.shard import ShardKey
from storage.store import Store
from tasks.download.stage import DOWNLOAD
from tasks.download.verification import RawFile, verify_raw
from tasks.evaluate.result import load_report
from tasks.evaluate.statistics.totals import verify_totals
from tasks.plan.stage import PLAN
from tasks.stages import CORPUS_STAGES


@dataclass(frozen=True)
class WrongFile:
    """A file that is missing or damaged; `again` is the command that repairs it."""

    checked: Checked
    problem: str
    again: str


@dataclass(frozen=True)
class Verification:
    """The files of a manifest, and those of them that are wrong."""

    published: Manifest
    files: Sequence[FileRef]
    wrong: Sequence[WrongFile]


def files_of(published: Manifest) -> list[FileRef]:
    """All files that a manifest names."""
    return list(manifest.all_files(published.content.entries))


def verify(
    config: Path,
    settings: RunConfig,
    store: Store,
    published: Manifest,
    on_file: Callable[[], None],
) -> Verification:
    """Hash every file of a manifest; calls `on_file` after each."""
    wrong: list[WrongFile] = []
    for checked in manifest.verify(store, published):
        on_file()
        if checked.wrong is not None:
            again = _command(config, settings, store, published, checked)
            wrong.append(WrongFile(checked, checked.wrong, again))
    return Verification(published, files_of(published), wrong)


def with_raw_files(
    config: Path,
    store: Store,
    verification: Verification,
    files: Sequence[RawFile],
    on_file: Callable[[], None],
) -> Verification:
    """The verification of a manifest and of the raw files it was made from, which come first."""
    wrong: list[WrongFile] = []
    for one, problem in verify_raw(store, files):
        on_file()
        if problem is not None:
            file = one.file.model_copy(update={"path": one.name})
            checked = Checked(stage=DOWNLOAD.name, key=one.key, file=file, wrong=problem)
            wrong.append(WrongFile(checked, problem, _raw_command(config, one)))
    return replace(
        verification,
        files=[*(one.file for one in files), *verification.files],
        wrong=[*wrong, *verification.wrong],
    )


def _raw_command(config: Path, raw: RawFile) -> str:
    """What recreates a raw file; a file of a delivery, which was not copied, only its owner can."""
    if raw.mirror is not None:
        return "restore this file of the delivery"
    return f"distillery run {config}" if raw.problem else repair_command(config, raw.file.path)


def _command(
    config: Path, settings: RunConfig, store: Store, published: Manifest, wrong: Checked
) -> str:
    """The command that recreates a file, if the settings are still those that created it."""
    command = repair_command(config, wrong.file.path)
    created_by = published.content.fingerprints.get(wrong.stage, {}).get(wrong.key.corpus)
    if wrong.key.corpus in settings.corpora:
        state = CorpusState(settings, store, wrong.key.corpus)
        if state.fingerprints[wrong.stage] == created_by:
            return command
    number = published.number
    return f"{command}, with the configuration that published {number}: this one has changed"


def verify_file(store: Store, file: Producer) -> None:
    """Read a stored file and compare it with its digest; raises `IntegrityError` if it differs.

    A file that no receipt names counts as damaged, as one whose repair was interrupted.
    """
    try:
        _verify(store, file)
    except FileNotFoundError as error:
        raise IntegrityError(f"{file.path} is missing", file.path) from error


def _verify(store: Store, file: Producer) -> None:
    path = file.path
    match file.kind:
        case Kind.SHARD | Kind.STUDENT if file.is_receipt:
            receipt = Receipt.parse(store.read(path), path)
            if receipt.stage == PLAN.name:
                _refuse_gap(store, file, receipt)
        case Kind.SHARD | Kind.STUDENT:
            with store.fetch(_named(store, file)):
                return
        case Kind.FAILURE:
            Failure.parse(store.read(path), path)
        case Kind.SUMMARY:
            Summary.parse(store.read(path), path)
        case Kind.MANIFEST:
            key = cast("ShardKey", file.key)
            manifest.load(store, key.split, key.index)
        case Kind.CARD:
            opened_card(store.read(path), path)
        case Kind.CHECKPOINT:
            above, _, step = file.folder.rpartition("/step-")
            StoreCheckpoints(store, above).files(int(step))
        case Kind.REPORT:
            load_report(store, path)
        case Kind.TOTALS:
            verify_totals(store, path)


def _refuse_gap(store: Store, file: Producer, part: Receipt) -> None:
    """Raise `IntegrityError` for a part of a plan before which one is missing."""
    names = [path.removeprefix(f"{file.folder}/") for path in store.list(file.folder)]
    planned = {name.partition(".")[0] for name in names if name.endswith(".receipt.json")}
    for number in range(part.key.index):
        if f"{number:05d}" not in planned:
            raise IntegrityError(
                f"{file.path} continues a plan whose part {number:05d} is missing", file.path
            )


def _named(store: Store, file: Producer) -> FileRef:
    """The reference to a file in the receipts beside it."""
    start = f"{file.folder}/{f'{file.key.index:05d}.' if file.key else ''}"
    for path in store.list(file.folder):
        if path.startswith(start) and path.endswith(".receipt.json"):
            try:
                receipt = Receipt.parse(store.read(path), path)
            except IntegrityError:
                continue  # it is damaged itself, and names nothing that can be relied on
            for found in (receipt.output, receipt.rejected, *receipt.beside):
                if found is not None and found.path == file.path:
                    return found
    raise IntegrityError(f"no receipt names {file.path}", file.path)


def is_current(settings: RunConfig, store: Store, file: Producer) -> bool:
    """Whether a file belongs to the shards and settings as they are now, so that it can be made.

    Raises `IntegrityError` for another damaged file that stands in the way.
    """
    try:
        return _is_current(settings, store, file)
    except IntegrityError as error:
        if error.path != file.path:
            raise
        return True  # it has been found on the way, hence it is read


def _is_current(settings: RunConfig, store: Store, file: Producer) -> bool:
    if file.kind is Kind.SHARD and file.stage in CORPUS_STAGES:
        key = cast("ShardKey", file.key)
        if key.corpus not in settings.corpora:
            return False
        state = CorpusState(settings, store, key.corpus)
        if file.stage == DOWNLOAD.name:
            return state.corpus.revision == file.fingerprint
        return state.place(file.stage, key).fingerprint == file.fingerprint
    if file.kind not in (Kind.SHARD, Kind.STUDENT):
        return True
    states = corpus_states(settings, store)
    published = find_current(settings, store, states)
    if published is None:
        return False
    if file.kind is Kind.STUDENT:
        path = student_receipt_path(settings, published, validation_audio(states))
        return path.startswith(f"{file.folder}/")
    student = find_student(settings, store, states, published)
    found = measurements(settings, store, states, student) if student else ()
    return file.folder in {one.job.place.folder for one in found}
