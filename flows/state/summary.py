"""What a run resulted in: its manifest with the report on both models, or else its status."""

from collections.abc import Sequence
from dataclasses import dataclass

from configs.schema import RunConfig
from flows.state.corpus_state import CorpusState
from flows.state.evaluation.current_report import find_report
from flows.state.keep_rate import remarks
from flows.state.publication import find_current
from flows.state.status import Status, read_status
from storage.errors import UserError
from storage.manifest import Manifest
from storage.store import Store
from tasks.evaluate.result import Report


@dataclass(frozen=True)
class RunSummary:
    """The results of a run. `status` is None where the shards as they are now are published."""

    status: Status | None
    published: Manifest | None
    remarks: Sequence[str]
    report: Report | None
    student: str | None  # the folder or URL of the student


def read_summary(config: RunConfig, store: Store, states: Sequence[CorpusState]) -> RunSummary:
    """The results of the shards as they are now."""
    published = find_current(config, store, states)
    report = find_report(config, store, states, published) if published else None
    return RunSummary(
        status=None if published else read_status(config, store, states),
        published=published,
        remarks=remarks(config, store, states),
        report=report,
        student=f"{config.root}/{report.student_folder}" if report else None,
    )


def current_report(config: RunConfig, store: Store, states: Sequence[CorpusState]) -> Report:
    """The report on the manifest of the shards as they are now; raises `UserError` without one."""
    report = find_report(config, store, states, find_current(config, store, states))
    if report is None:
        raise UserError("nothing is evaluated yet; `distillery run CONFIG` evaluates")
    return report
