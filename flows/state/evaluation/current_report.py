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
from storage.errors import UserError
from storage.manifest import Manifest
from storage.store import Store
from tasks.evaluate.result import Evaluation, Report, load_report


def find_report(
    config: RunConfig, store: Store, states: Sequence[CorpusState], published: Manifest | None
) -> Report | None:
    """The report on the teacher and the student of a manifest, or None if there is none yet.

    That is also so where a further model or a folder of noise is not there (any longer), since it
    is not known then which report would be the current one. Raises `HolesError` as `measurements`.
    """
    student = find_student(config, store, states, published) if published else None
    if student is None or published is None:
        return None
    try:
        found = measurements(config, store, states, student)
    except UserError:
        return None
    if any(one.receipt is None for one in found):
        return None
    evaluation = evaluation_of(config, states, found, trained_on(published))
    return load_report(store, evaluation.path(config))


def evaluation_of(
    config: RunConfig,
    states: Sequence[CorpusState],
    found: Sequence[Measurement],
    trained_on: Sequence[str],
) -> Evaluation:
    """Finished measurements as a report takes them; `trained_on` are corpora."""
    return Evaluation(
        models=tuple({one.model.name: one.model for one in found}.values()),
        measured=tuple(measured(found)),
        audio=tuple({one.audio.path: (one.set, one.audio) for one in found}.values()),
        coverage=evaluation_coverage(config, states, found),
        trained_on=tuple(trained_on),
    )


def trained_on(published: Manifest) -> list[str]:
    """The corpora of a manifest, on which its student is trained."""
    return sorted({entry.key.corpus for entry in published.content.entries})
