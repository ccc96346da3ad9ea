"""Two evaluated runs on the utterances that both have, from receipts and stored transcripts."""

import shlex
from pathlib import Path

from configs.schema import RunConfig
from flows.state.corpus_state import corpus_states
from flows.state.evaluation.measurements import measured, measurements
from flows.state.models import find_student
from flows.state.publication import find_current
from storage.errors import UserError
from storage.record import Record
from storage.store import Store
from tasks.evaluate.statistics.comparison import RunDifference, compare_samples
from tasks.evaluate.statistics.sample import Sample
from tasks.evaluate.statistics.stored import samples_of


class RunComparison(Record):
    """Two runs by their configurations, and how `b` differs from `a` by model, condition, set."""

    a: str
    b: str
    rows: tuple[RunDifference, ...]


def compare_runs(
    a: tuple[Path, RunConfig, Store], b: tuple[Path, RunConfig, Store]
) -> RunComparison:
    """Compare the evaluations of two configurations, each with its settings and its store.

    Raises `UserError` for one that is not evaluated, and as `compare_samples`.
    """
    samples = [_samples(*one) for one in (a, b)]
    return RunComparison(a=str(a[0]), b=str(b[0]), rows=tuple(compare_samples(*samples)))


def _samples(path: Path, config: RunConfig, store: Store) -> list[Sample]:
    """Everything that was transcribed in a run, by model, condition and set."""
    states = corpus_states(config, store)
    published = find_current(config, store, states)
    student = find_student(config, store, states, published) if published else None
    found = measurements(config, store, states, student) if student else []
    if not found or any(one.receipt is None for one in found):
        command = f"distillery evaluate {shlex.quote(str(path))}"
        raise UserError(f"{path} is not evaluated yet; `{command}` evaluates")
    return list(samples_of(store, measured(found)))
