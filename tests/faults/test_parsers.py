"""Every mutation of an annotation, an archive or a configuration ends in rows or in one line.

The mutations are parsed in a process of their own (`tests/faults/parsers.py`), with 5 s of CPU time
for each and 4 GiB of memory.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.corpora.base import Segment
from tasks.corpora.registry import CORPORA
from tests.faults import parsers
from tests.faults.local_sources import COLUMNS, LOCAL_SOURCES, ROWS
from tests.faults.parsers import PARSERS, InMemory, plan
from tests.faults.sources import SOURCES

if TYPE_CHECKING:
    from tests.faults.report import Report

NUM_IN_SHORT = 40
MOST_FAULTS = 10  # that are looked for
NUM_MUTATIONS = int(os.environ.get("DISTILLERY_MUTATIONS", "10000"))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ROW = st.dictionaries(st.sampled_from([*COLUMNS.values(), "other"]), JSON)


def tried(first: int, last: int, *names: str) -> dict[str, Counter[str]]:
    """What became of these seeds, by parser; asserts that all are rows or declared errors.

    After a fault, another process goes on with the next seed.
    """
    outcomes = {name: Counter[str]() for name in names}
    faults: list[str] = []
    waiting = [(first, names)]
    while waiting and len(faults) < MOST_FAULTS:
        start, several = waiting.pop()
        command = [sys.executable, "-m", parsers.__name__, str(start), str(last), *several]
        root = Path(__file__).parents[2]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        for name, _, outcome in lines:
            outcomes[name].update([outcome] if outcome else [])
        if done.returncode:
            why = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
            name, seed = lines[-1][:2] if lines else (several[0], start)
            faults.append(f"{name}, seed {seed}: {why[0][:300]}")
            waiting.append((first, several[several.index(name) + 1 :]))
            waiting.append((int(seed) + 1, (name,)))
    assert not faults, "\n".join(faults)
    assert {count.total() for count in outcomes.values()} == {last - first}
    return outcomes


def test_every_corpus_has_a_parser() -> None:
    forms = {corpus.read for forms in CORPORA.values() for corpus in forms.values()}
    assert {source.corpus.read for source in SOURCES.values()} == forms


@pytest.mark.parametrize("name", [*SOURCES, *LOCAL_SOURCES])
def test_undamaged_files_give_segments(name: str) -> None:
    source = (SOURCES | LOCAL_SOURCES)[name]
    files = {**dict.fromkeys(source.audio, b"audio"), **source.annotations}
    assert any(isinstance(item, Segment) for item in source.corpus.read(InMemory(files)))
    assert plan(source, source.annotations)


def test_some_mutations_of_every_kind() -> None:
    counts = tried(0, NUM_IN_SHORT, *PARSERS)
    assert all(count["rows"] for count in counts.values())


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", PARSERS)
def test_ten_thousand_mutations(name: str, report: "Report") -> None:
    """Mutations of what parsers read"""
    count = tried(0, NUM_MUTATIONS, name)[name]
    outcome = f"{count['rows']:,} read in part or whole, {count['declared']:,} refused in one line"
    report.add(f"mutation of {name}", NUM_MUTATIONS, outcome)


def others_are_read(row: dict[str, Any], source: str) -> None:
    """Assert that a row among others is a segment or rejected, and changes none of them."""
    first, *rest = (json.dumps(one).encode() for one in ROWS)
    data = b"\n".join((first, json.dumps(row).encode(), *rest))
    files = dict.fromkeys(LOCAL_SOURCES[source].audio, b"audio")
    plan(LOCAL_SOURCES[source], {"lists/train.jsonl": data})
    corpus = LOCAL_SOURCES[source].corpus
    items = list(corpus.read(InMemory({**files, "lists/train.jsonl": data})))
    assert len(items) == 1 + len(ROWS)
    ids = [item.id for item in (items[0], *items[2:]) if isinstance(item, Segment)]
    assert ids == [str(one["key"]) for one in ROWS]


@settings(max_examples=100, derandomize=True, deadline=None)
@given(ROW)
def test_a_row_of_any_values_changes_no_other(row: dict[str, Any]) -> None:
    others_are_read({**ROWS[1], **row}, "local json lines")


@pytest.mark.faults
@settings(max_examples=NUM_MUTATIONS, derandomize=True, deadline=None)
@given(ROW)
def test_ten_thousand_rows_of_any_values(row: dict[str, Any]) -> None:
    """Rows of JSON Lines with any values"""
    others_are_read({**ROWS[1], **row}, "local json lines")
