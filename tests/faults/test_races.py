"""Ten processes on the same shards, root and manifest; garbage collection next to a run."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from storage import manifest
from storage.store import Store
from tests.faults import race
from tests.faults.report import Report
from tests.faults.trial import CONFIG, Finished, Trial
from tests.s3_servers import S3Server
from tests.storage.commit_until_killed import NUM_SHARDS
from tests.storage.publish_together import NAME

NUM_PROCESSES = 10

on_each_root = pytest.mark.parametrize("root", ["local", "s3"], indirect=True)


def raced(kind: str, root: str, num_rounds: int) -> list[list[Any]]:
    """What each process found, by round."""
    script = [sys.executable, "-m", race.__name__, kind, root, str(NUM_PROCESSES), str(num_rounds)]
    done = subprocess.run(
        script, check=True, timeout=500, cwd=Path(__file__).parents[2],
        capture_output=True, text=True,
    )  # fmt: skip
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rounds) == num_rounds
    return rounds


def check_commits(rounds: Sequence[Sequence[dict[str, list[Any]]]]) -> int:
    """All processes got the same receipt of every shard; returns how many authors there were."""
    authors = set()
    for found in rounds:
        assert all(one == found[0] for one in found)
        assert len(found[0]) == NUM_SHARDS
        authors |= {by for _, by in found[0].values()}
    return len(authors)


def check_publications(rounds: Sequence[Sequence[dict[str, Any]]], root: str) -> None:
    """No number is skipped or owned twice, and equal contents become one manifest."""
    digests: list[str] = []
    for number, found in enumerate(rounds):
        by_number = {one["number"]: one["digest"] for one in found}
        num_new = NUM_PROCESSES if number % 2 else 1
        assert sum(one["is_new"] for one in found) == num_new
        assert sorted(by_number) == [len(digests) + place + 1 for place in range(num_new)]
        assert len({one["by"] for one in found}) == num_new
        digests += [by_number[key] for key in sorted(by_number)]
    store = Store(root)
    assert manifest.numbers(store, NAME) == list(range(1, len(digests) + 1))
    published = [manifest.load(store, NAME, number + 1) for number in range(len(digests))]
    assert [one.digest for one in published] == digests


def test_ten_processes_commit_the_same_shards(root: str) -> None:
    # on a busy machine one process may be first at every shard of a round
    assert check_commits(raced("commit", root, 5)) > 1


def test_ten_processes_publish_at_once(root: str) -> None:
    check_publications(raced("publish", root, 2), root)


def collected_next_to(trial: Trial, grace_hours: str) -> tuple[int, int]:
    """Delete garbage again and again while the run is at work: its status, and how often."""
    started, times = trial.start("run"), 0
    while started.is_running:
        trial.command("gc", CONFIG, "--delete", "--grace-hours", grace_hours)
        times += 1
    text = started.log.read_text()
    assert "Traceback" not in text, text
    return started.wait(), times


@pytest.mark.slow
def test_garbage_collection_next_to_a_run(finished: Finished, tmp_path: Path) -> None:
    trial = finished.begin(tmp_path / "trial", "label")
    status, times = collected_next_to(trial, "1")
    assert (status, times > 3) == (0, True)
    finished.check(trial)


@pytest.mark.faults
@pytest.mark.timeout(900)
@on_each_root
def test_races_of_processes(root: str, report: Report) -> None:
    """Ten processes commit the same shards, and publish under the same name"""
    report.title += f", on {'S3' if root.startswith('s3') else 'a local disk'}"
    num_rounds = 10
    num_authors = check_commits(raced("commit", root, num_rounds))
    report.add(
        f"ten processes commit the same {NUM_SHARDS} shards", num_rounds,
        f"one receipt for each shard, by {num_authors} different processes",
    )  # fmt: skip
    check_publications(raced("publish", f"{root}/again", num_rounds), f"{root}/again")
    report.add(
        "ten processes publish, the same or different contents", num_rounds,
        "equal contents have one number, others one each; none is skipped or owned twice",
    )  # fmt: skip


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("where", ["local", "s3"])
def test_ten_runs_at_once(
    where: str, finished: Finished, moto: S3Server, tmp_path: Path, report: Report
) -> None:
    """Ten runs of the same configuration on the same root"""
    report.title += ", on S3" if where == "s3" else ", on a local disk"
    trial = finished.begin(tmp_path / "trial", "plan", moto if where == "s3" else None)
    started = [trial.start("run") for _ in range(NUM_PROCESSES)]
    statuses = [one.wait(800) for one in started]
    texts = [one.log.read_text() for one in started]
    assert not [text for text in texts if "Traceback" in text]
    num_complete = statuses.count(0)
    trial.command("run", CONFIG)
    finished.check(trial, started)
    report.add(
        "ten concurrent runs", 1,
        f"{num_complete} complete, {NUM_PROCESSES - num_complete} report a failure; same manifest",
    )  # fmt: skip
    assert num_complete == NUM_PROCESSES, [text for text in texts if "failed" in text]


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_collections_next_to_runs(finished: Finished, tmp_path: Path, report: Report) -> None:
    """Garbage collection again and again while a run is at work"""
    for grace_hours in ("24", "0"):
        trial = finished.begin(tmp_path / grace_hours, "plan")
        status, times = collected_next_to(trial, grace_hours)
        assert status == 0 or grace_hours == "0"
        begun_s = time.monotonic()
        trial.command("run", CONFIG)
        finished.check(trial)
        again = (
            f"; the next one completes it in {time.monotonic() - begun_s:.0f} s" if status else ""
        )
        report.add(
            f"`gc --delete --grace-hours {grace_hours}`", times, f"run ends with {status}{again}"
        )
