"""Prefect artifacts: progress of a stage, tables, and where the results are.

Nothing depends on them: if the server does not accept one, the run goes on without it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from threading import Event, Lock, Thread
from typing import Final, Self, cast
from uuid import UUID

import httpx
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.exceptions import PrefectHTTPStatusError
from prefect.logging import get_logger
from prefect.runtime import flow_run

from configs.grid_runs import config_name
from configs.schema import RunConfig
from flows.dispatch.tables import (
    Row,
    failure_rows,
    grid_rows,
    hours_rows,
    markdown_table,
    paper_rows,
    reason_rows,
    status_rows,
)
from flows.state.corpus_state import corpus_states
from flows.state.evaluation.current_report import find_report
from flows.state.grid.report import GridReport
from flows.state.publication import find_current
from flows.state.repair import Failed
from flows.state.status import read_status
from storage.errors import DistilleryError
from storage.store import Store
from tasks.card import read_card
from tasks.text.display import markdown

_REFRESH_S: Final = 60.0


class ArtifactBar:
    """A progress bar in the UI, as an artifact of the flow run in which it is created.

    An update costs the server a request, so there is one for each per cent, and near the end one
    for each step.
    """

    def __init__(self, title: str, total: int, unit: str) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._done, self._remark = 0, ""
        self._lock = Lock()
        self._artifact: UUID | None = None
        with optional():
            made = create_progress_artifact(0.0, artifact_key(title), self._description())
            self._artifact = cast("UUID", made)  # no coroutine outside an event loop

    def advance(self, num_done: int = 1) -> None:
        """Count so many more as done."""
        self._change(num_done)

    def advance_to(self, num_done: int) -> None:
        """Set how many are done."""
        self._change(num_done - self._done)

    def extend_to(self, total: int) -> None:
        """Set the total; shown with the next step."""
        self._total = total

    def say(self, text: str) -> None:
        """Show a short remark with the next step."""
        self._remark = text

    def _change(self, num_more: int) -> None:
        with self._lock:  # held during the request, so that an older count never comes later
            before, self._done = self._done, self._done + num_more
            total = max(1, self._total)
            is_next_percent = 100 * before // total != 100 * self._done // total
            is_near_the_end = 100 * self._done > 99 * total
            if self._artifact is not None and (is_next_percent or is_near_the_end):
                with optional():
                    percent = min(100.0, 100 * self._done / total)
                    update_progress_artifact(self._artifact, percent, self._description())

    def _description(self) -> str:
        remark = f": {self._remark}" if self._remark else ""
        return markdown(f"{self._title}: {self._done} of {self._total} {self._unit}{remark}")


class Shown:
    """An artifact of a flow run: created when it is first shown, then updated."""

    def __init__(self, name: str, title: str, kind: str, flow_run_id: str | None) -> None:
        self._key, self._title, self._kind = artifact_key(name), title, kind
        self._flow_run_id = flow_run_id
        self._id: UUID | None = None

    def show(self, data: str) -> None:
        """Show this from now on; raises what the server's client raises."""
        with get_client(sync_client=True) as client:
            if self._id is not None:
                client.update_artifact(self._id, ArtifactUpdate(data=data))
                return
            made = ArtifactCreate(
                key=self._key,
                type=self._kind,
                description=self._title,
                data=data,
                flow_run_id=self._flow_run_id,
            )
            self._id = client.create_artifact(made).id


class RunTables:
    """The tables of a run: where it stands by its receipts, and where its results are."""

    def __init__(self, config: str, settings: RunConfig, store: Store) -> None:
        self._config, self._settings, self._store = config, settings, store
        self._shown: dict[str, Shown] = {}
        self._flow_run_id = flow_run.id

    @contextmanager
    def kept_up_to_date(self) -> Iterator[Self]:
        """Refresh the tables every minute of what runs inside, and once at its end."""
        ended = Event()

        def refresh() -> None:
            while not ended.wait(_REFRESH_S):
                self.show()

        context = copy_context()
        thread = Thread(target=context.run, args=(refresh,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()
            self.show()

    def show(self) -> None:
        """Bring the tables up to date."""
        with optional():
            states = corpus_states(self._settings, self._store)
            status = read_status(self._settings, self._store, states)
            self._table("status", "Shards and rows by stage", status_rows(status.stages))
            self._table("hours", "Hours of speech by corpus after each stage", hours_rows(status))
            self._table("reasons", "Rows that were rejected, and why", reason_rows(status))
            failures = failure_rows(self._config, status.failures)
            self._table("failed shards", "Why, and the command that repairs each", failures)
            self._show("results", "Manifest and student", _results(self._settings, self._store))

    def link(self, name: str, title: str, path: str) -> None:
        """Show where a stored file is."""
        with optional():
            self._show(name, title, _link(self._store, path))

    def _table(self, name: str, title: str, rows: Sequence[Row]) -> None:
        self._show(name, title, json.dumps(_cells(rows)), kind="table")

    def _show(self, name: str, title: str, data: str, kind: str = "markdown") -> None:
        if name not in self._shown:
            self._shown[name] = Shown(name, title, kind, self._flow_run_id)
        self._shown[name].show(data)


def show_failures(failures: Sequence[Failed]) -> None:
    """A table of the shards that failed in this flow run, with the commands that repair them."""
    if config := flow_run.parameters.get("config"):
        with optional():
            rows = _cells(failure_rows(config, failures))
            about = f"{flow_run.name}: the shards that failed, and the commands that repair them."
            create_table_artifact(rows, artifact_key("failed", flow_run.name), markdown(about))


def show_grid(report: GridReport) -> None:
    """The results of a grid, and beside them the tables of the paper about the same settings."""
    tables = {f"Runs of {report.name}": grid_rows(report)} | {
        f"Table {one.number} of the paper: {one.title}": paper_rows(one) for one in report.paper
    }
    text = "\n\n".join(
        f"## {markdown(title)}\n\n{markdown_table(rows)}" for title, rows in tables.items()
    )
    with optional():
        create_markdown_artifact(text, f"grid-{_plain(report.name)}", "Students compared")


def _cells(rows: Iterable[Row]) -> list[Row]:
    """The rows of a table, whose cells the UI shows as Markdown."""
    return [
        {name: markdown(cell) if isinstance(cell, str) else cell for name, cell in row.items()}
        for row in rows
    ]


def artifact_key(*words: str) -> str:
    """The name of an artifact of this run's configuration: small letters, digits and dashes."""
    return _plain(" ".join([config_name(flow_run.parameters.get("config", "")), *words]))


def _plain(text: str) -> str:
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
    return f"[{markdown(path)}]({store.url(path)})"


@contextmanager
def optional() -> Iterator[None]:
    """Go on without what the server does not accept: artifacts are never needed."""
    try:
        yield
    except (DistilleryError, httpx.HTTPError, PrefectHTTPStatusError) as error:
        get_logger(__name__).warning("not shown in the UI: %s", error or type(error).__name__)
