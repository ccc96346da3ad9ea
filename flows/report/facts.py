"""What is known of a run at one moment, from its receipts and the records that they lead to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from configs.schema import RunConfig
from configs.version import installed_version
from flows.state.corpus_state import CorpusState
from flows.state.evaluation.current_report import find_report
from flows.state.models import find_student
from flows.state.publication import HolesError, find_current, training_shards
from flows.state.status import Status, read_status
from flows.state.sweep import has_evidence
from storage.fingerprint import digest
from storage.manifest import Manifest
from storage.receipt import Receipt
from storage.store import Store
from tasks.evaluate.result import Report

VERSION: Final = 1
"""Raised when the page of the same run shows something else than before."""

_LOOKS: Final = ("report.html", "parts.html", "report.css", "report.js")
_HERE: Final = Path(__file__).parent


@dataclass(frozen=True)
class Facts:
    """A run as its receipts describe it; None for what does not exist yet."""

    config: RunConfig
    store: Store
    states: Sequence[CorpusState]
    status: Status
    published: Manifest | None
    student: Receipt | None
    report: Report | None

    @property
    def name(self) -> str:
        """What its manifests are published as."""
        return self.config.publish.name

    @cached_property
    def digest(self) -> str:
        """A digest of everything that decides the page, so that the same run has the same page."""
        return digest(
            [
                [VERSION, installed_version(), *((_HERE / one).read_text() for one in _LOOKS)],
                self.status.model_dump(mode="json"),
                [*self._evidence()],
                [self.published.number, self.published.digest] if self.published else None,
                self.student.output.sha256 if self.student else None,
                digest(self.report.model_dump(mode="json")) if self.report else None,
            ]
        )

    def _evidence(self) -> Iterator[list[str]]:
        """The files that sweeps and samples are read from."""
        for state, shards in training_shards(self.states).items():
            yield [state.name, state.corpus.revision, *sorted(state.fingerprints.values())]
            for shard in shards:
                if has_evidence(shard):
                    yield [str(shard.key), shard.receipts["score"].output.sha256]


def read_facts(config: RunConfig, store: Store, states: Sequence[CorpusState]) -> Facts:
    """The run as it is now; reads records alone."""
    published = find_current(config, store, states)
    try:
        student = find_student(config, store, states, published) if published else None
        report = find_report(config, store, states, published) if student else None
    except HolesError:  # held-out speech is missing
        student = report = None
    return Facts(
        config=config,
        store=store,
        states=states,
        status=read_status(config, store, states),
        published=published,
        student=student,
        report=report,
    )
