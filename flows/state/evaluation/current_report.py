"""The report on the models of a run, if it is made."""

from collections.abc import Sequence

from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState
from flows.state.evaluation.measurements import (
    Measurement,
    evaluation_coverage,
    measured,
    measurements,
)
from flows.state.models import find_student
from storage.manifest import Manifest
from storage.store import Store
from tasks.evaluate.result import Report, load_report, report_path


def find_report(
    config: RunConfig, store: Store, states: Sequence[CorpusState], published: Manifest | None
) -> Report | None:
    """The report on the teacher and the student of a manifest, or None if there is none yet."""
    student = find_student(config, store, states, published) if published else None
    if student is None or published is None:
        return None
    found = measurements(config, store, states, student)
    if any(one.receipt is None for one in found):
        return None
    return load_report(store, path_of_report(config, states, published, found))


def path_of_report(
    config: RunConfig,
    states: Sequence[CorpusState],
    published: Manifest,
    found: Sequence[Measurement],
) -> str:
    """The path of the report on finished measurements."""
    coverage = evaluation_coverage(config, states, found)
    return report_path(config, measured(found), coverage, trained_on(published))


def trained_on(published: Manifest) -> list[str]:
    """The corpora of a manifest, on which its student is trained."""
    return sorted({entry.key.corpus for entry in published.content.entries})
