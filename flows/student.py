"""The current student of a configuration, and what is known of it, from receipts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from configs.evaluate import STUDENT, TEACHER
from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState, corpus_states
from flows.state.evaluation.current_report import find_report
from flows.state.evaluation.measurements import by_corpus, measurements
from flows.state.models import (
    find_student,
    validation_audio,
)
from flows.state.publication import HolesError, find_current
from storage.errors import UserError
from storage.manifest import Manifest
from storage.receipt import FileRef, Receipt
from storage.store import Store
from tasks.corpora.sources import HubFiles
from tasks.distil.outlook import Outlook
from tasks.distil.stage import distil_parameters
from tasks.evaluate.findings import CLEAN, Interval
from tasks.evaluate.result import Report
from tasks.evaluate.statistics.pooled import pooled_interval
from tasks.evaluate.statistics.sample import COLUMNS, Sample
from tasks.ship.facts import StudentFacts, model_size, window_samples


@dataclass(frozen=True)
class CurrentStudent:
    """The student of the shards as they are now, and the state that it was found in."""

    config: RunConfig
    store: Store
    states: Sequence[CorpusState]
    manifest: Manifest
    receipt: Receipt


def current_student(config: RunConfig, store: Store) -> CurrentStudent:
    """The student of the manifest of the shards as they are now; raises `UserError` without one."""
    states = corpus_states(config, store)
    published = find_current(config, store, states)
    receipt = find_student(config, store, states, published) if published else None
    if published is None or receipt is None:
        raise UserError(
            f"there is no student of {config.publish.name} for these settings and the shards as"
            " they are now; `distillery run CONFIG --until distil` trains one"
        )
    return CurrentStudent(config, store, states, published, receipt)


def student_facts(student: CurrentStudent, folder: Path) -> StudentFacts:
    """What is known of a student whose files are in `folder`.

    The intervals of its word error rates are computed from the tables of the evaluation.
    """
    config, states = student.config, student.states
    parameters = {one.name: one.value for one in distil_parameters(config)}
    report = _report(student)
    return StudentFacts(
        manifest=student.manifest,
        receipt=student.receipt,
        teacher=str(parameters.pop("teacher")),
        settings=parameters,
        num_steps=Outlook.of_content(config, student.manifest.content).num_steps,
        size=model_size(folder),
        window_samples=window_samples(folder),
        evaluated_role=config.evaluate.split_role,
        hub_data={
            state.name: source.repo
            for state in states
            for source in state.corpus.sources
            if isinstance(source, HubFiles)
        },
        report=report,
        intervals=_intervals(student) if report else {},
    )


def speech_to_compare_on(student: CurrentStudent) -> list[tuple[str, FileRef]]:
    """Normalised validation shards with their set, or else those of the evaluation.

    Raises `UserError` if there are none, or if any of them is missing.
    """
    if found := validation_audio(student.states):
        return found
    try:
        shards = measurements(student.config, student.store, student.states, student.receipt)
    except HolesError as error:
        if any(state.splits(student.config.evaluate.split_role) for state in student.states):
            raise UserError(
                f"nothing to compare the converted student on: {error};"
                " `distillery run CONFIG` makes it"
            ) from error
        raise UserError(
            "there is neither validation nor test speech, on which the converted student would be"
            " compared with the original; convert what `--format hf` writes yourself"
        ) from error
    return list({one.audio.path: (one.set, one.audio) for one in shards}.values())


def _report(student: CurrentStudent) -> Report | None:
    try:
        return find_report(student.config, student.store, student.states, student.manifest)
    except HolesError:  # no held-out speech, or not all of it
        return None


def _intervals(student: CurrentStudent) -> Mapping[str, Mapping[str, Interval]]:
    shards = measurements(student.config, student.store, student.states, student.receipt)
    found: dict[str, dict[str, Interval]] = {}
    for model in (TEACHER, STUDENT):
        samples = {
            corpus: [_sample(student.store, model, receipt) for receipt in receipts]
            for corpus, receipts in by_corpus(shards, model).items()
        }
        sets = {**samples, "all": [one for of_corpus in samples.values() for one in of_corpus]}
        computed = {name: pooled_interval(of_set) for name, of_set in sets.items()}
        found[model] = {name: value for name, value in computed.items() if value is not None}
    return found


def _sample(store: Store, model: str, receipt: Receipt) -> Sample:
    with store.fetch(receipt.output) as path:
        table = pq.read_table(path, columns=list(COLUMNS))
    key = receipt.key
    return Sample.of([table], model=model, condition=CLEAN, set=f"{key.corpus}/{key.split}")
