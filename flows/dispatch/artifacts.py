"""What the UI shows beside the runs: progress while a stage goes on, tables, where the results are.

All of it is for the eye alone: when the server does not take it, the work goes on without.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.logging import get_logger
from prefect.runtime import flow_run

from configs.schema import RunConfig
from flows.dispatch.progress import Bar, progress
from flows.dispatch.tables import Failed, Row, failure_rows, hours_rows, reason_rows, status_rows
from flows.state.corpus_state import corpus_states
from flows.state.models import find_report
from flows.state.publication import find_current
from flows.state.status import read_status
from storage.errors import DistilleryError
from storage.store import Store
from tasks.card import read_card


class _ShownBar:
    """A bar on the screen, where there is one, and as an artifact of the flow run.

    An update costs the server a request, so there is one for each per cent, and near the end one
    for each step.
    """

    def __init__(self, on_screen: Bar, title: str, total: int, unit: str) -> None:
        self._on_screen = on_screen
        self._title, self._total, self._unit = title, total, unit
        self._done, self._remark = 0, ""
        self._lock = Lock()
        self._artifact: UUID | None = None
        with _for_the_eye():
            made = create_progress_artifact(0.0, _key(title), self._description())
            assert isinstance(made, UUID)
            self._artifact = made

    def advance(self, num_done: int = 1) -> None:
        self._on_screen.advance(num_done)
        self._tell(num_done)

    def advance_to(self, num_done: int) -> None:
        self._on_screen.advance_to(num_done)
        self._tell(num_done - self._done)

    def say(self, text: str) -> None:
        self._on_screen.say(text)
        self._remark = text

    def _tell(self, num_more: int) -> None:
        with self._lock:  # also while the server is told: an older count must not come later
            before, self._done = self._done, self._done + num_more
            is_another_percent = 100 * before // self._total != 100 * self._done // self._total
            is_near_the_end = 100 * self._done > 99 * self._total
            if self._artifact is not None and (is_another_percent or is_near_the_end):
                with _for_the_eye():
                    percent = 100 * self._done / self._total
                    update_progress_artifact(self._artifact, percent, self._description())

    def _description(self) -> str:
        remark = f": {self._remark}" if self._remark else ""
        return f"{self._title}: {self._done} of {self._total} {self._unit}{remark}"


def shown_bar(title: str, total: int, unit: str) -> Bar:
    """A new bar for who watches this run, on a screen or in the UI; none there for no work."""
    on_screen = progress().bar(title, total, unit)
    return _ShownBar(on_screen, title, total, unit) if total > 0 else on_screen


class RunTables:
    """Where the run stands, by what the receipts say, and where its results are: one set a run."""

    def __init__(self, config: str, settings: RunConfig, store: Store) -> None:
        self._config, self._settings, self._store = config, settings, store
        self._shown: dict[str, UUID] = {}

    def show(self) -> None:
        """Bring the tables up to date."""
        with _for_the_eye():
            status = read_status(
                self._settings, self._store, corpus_states(self._settings, self._store)
            )
            self._table("status", "Shards and rows by stage", status_rows(status.stages))
            self._table("hours", "Hours of speech by corpus after each stage", hours_rows(status))
            self._table("reasons", "Rows that were left out, and why", reason_rows(status))
            failures = failure_rows(self._config, status.failures)
            self._table("failed shards", "Why, and what makes them again", failures)
            self._show("results", "Manifest and student", _results(self._settings, self._store))

    def _table(self, name: str, title: str, rows: Sequence[Row]) -> None:
        self._show(name, title, json.dumps(rows), kind="table")

    def _show(self, name: str, title: str, data: str, kind: str = "markdown") -> None:
        with get_client(sync_client=True) as client:
            if name in self._shown:
                client.update_artifact(self._shown[name], ArtifactUpdate(data=data))
                return
            made = ArtifactCreate(
                key=_key(name),
                type=kind,
                description=title,
                data=data,
                flow_run_id=flow_run.id,
            )
            self._shown[name] = client.create_artifact(made).id


def show_failures(failures: Sequence[Failed]) -> None:
    """A table of the shards that failed in this flow run, with what makes them again."""
    if config := flow_run.parameters.get("config"):
        with _for_the_eye():
            rows = failure_rows(config, failures)
            about = f"{flow_run.name}: the shards that failed, and what makes them again."
            create_table_artifact(rows, _key("failed", flow_run.name), about)


def _key(*words: str) -> str:
    """The name of an artifact of this run's configuration: small letters, digits and dashes."""
    text = " ".join([Path(flow_run.parameters.get("config", "")).stem, *words])
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _results(settings: RunConfig, store: Store) -> str:
    """Where the manifest and the student are, the manifest's card, and both models' errors."""
    states = corpus_states(settings, store)
    published = find_current(settings, store, states)
    if published is None:
        return "The shards as they are now are not published."
    lines = [f"Manifest {published.name} {published.number}: {_link(store, published.path)}"]
    if (report := find_report(settings, store, states, published)) is not None:
        lines += [
            f"Student: {_link(store, report.student_folder)}",
            f"WER: teacher {report.teacher.wer_percent} %, student {report.student.wer_percent} %",
        ]
    return "\n\n".join([*lines, read_card(store, published)])


def _link(store: Store, path: str) -> str:
    root = Path(store.root).absolute().as_uri() if store.is_local else store.root
    return f"[{path}]({root}/{path})"


@contextmanager
def _for_the_eye() -> Iterator[None]:
    """Go on without what the server does not take."""
    try:
        yield
    except (DistilleryError, httpx.HTTPError) as error:
        get_logger(__name__).warning("not shown in the UI: %s", error or type(error).__name__)
