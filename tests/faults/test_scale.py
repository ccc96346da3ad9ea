"""Memory, handles and connections stay the same however many shards there are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import scale
from tests.faults.report import Report

MOST_GROWTH_KB = {"commits": 16 << 10, "flows": 64 << 10}
"""Of the resident memory of a process, from a fifth of the shards to all of them."""
MOST_MORE_HANDLES = 8
MOST_CONNECTIONS = 20


def grown(kind: str, root: str, num_shards: int) -> tuple[dict[str, int], dict[str, int]]:
    """What the process holds after a fifth of the shards, and after all, checked."""
    script = [sys.executable, "-m", scale.__name__, kind, root, str(num_shards)]
    done = subprocess.run(
        script, check=True, timeout=1500, cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    early, late = (json.loads(line) for line in done.stdout.splitlines())
    assert late["shards"] == num_shards
    assert late["rss_kb"] - early["rss_kb"] < MOST_GROWTH_KB[kind]
    for name in ("handles", "threads", "connections"):
        assert late[name] - early[name] <= MOST_MORE_HANDLES, name
    assert late["connections"] <= MOST_CONNECTIONS
    return early, late


def shown(early: dict[str, int], late: dict[str, int]) -> str:
    names = {
        "rss_kb": "kB",
        "handles": "handles",
        "threads": "threads",
        "connections": "connections",
    }
    held = ", ".join(f"{early[name]:,} to {late[name]:,} {unit}" for name, unit in names.items())
    return f"after {early['shards']:,} shards and after all: {held}"


def test_a_process_holds_no_more_after_many_commits(root: str) -> None:
    grown("commits", root, 150)


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("kind", "root", "num_shards"),
    [("commits", "local", 10_000), ("flows", "local", 10_000), ("commits", "s3", 1_700)],
    indirect=["root"],
)
def test_many_shards(kind: str, root: str, num_shards: int, report: Report) -> None:
    """Many shards in one process"""
    where = "S3, three objects each" if root.startswith("s3") else "a local disk"
    report.title += " by the real flows" if kind == "flows" else f" on {where}"
    early, late = grown(kind, root, num_shards)
    report.add("none", num_shards, shown(early, late))
