"""The students of the experiment, as their receipts describe them."""

from collections.abc import Mapping

from benchmarks.paper.steps import STUDENTS
from configs.grid_runs import load_grid
from flows.report.facts import Facts, read_facts
from flows.state.corpus_state import corpus_states
from storage.store import Store


def read_students(store: Store) -> Mapping[str, Facts]:
    """The run of each student by its label, as it is now; reads records alone."""
    return {
        run.label: read_facts(run.settings, store, corpus_states(run.settings, store))
        for run in load_grid(STUDENTS).runs
    }
