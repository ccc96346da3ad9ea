"""Killed at any moment, in any stage, and started again, a run ends with the same manifest."""

import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from tasks.stages import STAGE_NAMES
from tests.faults.report import Report
from tests.faults.trial import CONFIG, Finished, Trial
from tests.faults.warm import Started
from tests.s3_servers import S3Server

KILLS = {"local": 90, "s3": 90}
PRIVATE_KILLS = 20
KILLS_PER_TRIAL = 9
MOST_S = 6.0
"""After so long a run is killed at the latest, counted from its start."""
MOST_COLD_S = 20.0
FIRST_S = 0.2
GONE_LIMIT_S = 20.0


def kill(started: Started, random: Random) -> None:
    """Kill the process, or all of its group, and wait until nothing of it is left."""
    started.kill(group=bool(random.getrandbits(1)))
    started.wait()
    gone_by_s = time.monotonic() + GONE_LIMIT_S
    while started.survivors() and time.monotonic() < gone_by_s:
        time.sleep(0.1)
    assert started.survivors() == [], "a process outlived the run that started it"


def kill_at_random(
    trial: Trial, random: Random, num_kills: int, most_s: float = MOST_S, *, cold: bool = False
) -> list[Started]:
    """Start the run and kill it after at most `most_s`, so often or until it comes to its end."""
    killed: list[Started] = []
    while len(killed) < num_kills:
        started = trial.start("run", cold=cold)
        deadline_s = time.monotonic() + random.uniform(FIRST_S, most_s)
        while started.is_running and time.monotonic() < deadline_s:
            time.sleep(0.01)
        if not started.is_running:
            assert started.wait() == 0, started.log.read_text()
            break
        kill(started, random)
        killed.append(started)
    return killed


def complete(finished: Finished, trial: Trial, killed: list[Started]) -> int:
    """Run without kills, and check; returns how often it was killed before."""
    trial.command("run", CONFIG)
    finished.check(trial, killed)
    return len(killed)


@pytest.mark.slow
def test_kills_in_some_stages(finished: Finished, moto: S3Server, tmp_path: Path) -> None:
    random = Random(15)
    for stage, server in (("label", None), ("publish", moto)):
        trial = finished.begin(tmp_path / stage, stage, server)
        assert complete(finished, trial, kill_at_random(trial, random, 2, 4.0)) > 0


@pytest.mark.slow
def test_a_private_server_ends_with_a_killed_run(finished: Finished, tmp_path: Path) -> None:
    trial = finished.begin(tmp_path / "trial", "filter")
    started = trial.start("run", cold=True)
    trial.wait_until_begun("filter", started)
    assert len(started.survivors()) > 1, "it has a server"
    kill(started, Random(1))  # the process alone, not its group
    complete(finished, trial, [started])


@pytest.mark.faults
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("where", ["local", "s3"])
def test_kills_at_random(
    where: str, finished: Finished, moto: S3Server, tmp_path: Path, report: Report
) -> None:
    report.title = f"SIGKILL at random moments, {'on S3' if where == 's3' else 'on a local disk'}"
    report.seed = 15 if where == "local" else 16
    random, killed = Random(report.seed), Counter[str]()
    stages = list(STAGE_NAMES)
    while (num_left := KILLS[where] - killed.total()) > 0:
        stage = stages.pop(0) if stages else random.choice(STAGE_NAMES)
        folder = tmp_path / f"{killed.total()}-{stage}"
        trial = finished.begin(folder, stage, moto if where == "s3" else None)
        kills = kill_at_random(trial, random, min(KILLS_PER_TRIAL, num_left))
        killed[stage] += complete(finished, trial, kills)
    for stage, number in killed.items():
        report.add(f"SIGKILL of a run that begins with `{stage}`", number, OUTCOME)


OUTCOME = "same manifest, same receipts, no process left"


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_kills_of_runs_with_a_server(finished: Finished, tmp_path: Path, report: Report) -> None:
    """SIGKILL at random moments of runs that start a Prefect server of their own"""
    report.seed = 17
    random, number = Random(report.seed), 0
    while number < PRIVATE_KILLS:
        trial = finished.begin(tmp_path / str(number), random.choice(STAGE_NAMES[1:7]))
        num_kills = min(KILLS_PER_TRIAL // 2, PRIVATE_KILLS - number)
        number += complete(
            finished, trial, kill_at_random(trial, random, num_kills, 25.0, cold=True)
        )
    report.add("SIGKILL of the process, or of its group", number, OUTCOME)
