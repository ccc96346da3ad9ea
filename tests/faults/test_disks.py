"""Disks that are full, read-only or gone, and clocks that jump: an error, then the same result."""

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.faults.disks import Disk, disk
from tests.faults.report import Report
from tests.faults.trial import CONFIG, Finished, Trial
from tests.faults.warm import Started

NUM_ROOTS = 4
DECADE_S = 10 * 365 * 86_400


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Disk]:
    """A disk with room for everything, until a test shrinks it."""
    with disk(tmp_path / "disk", 64 << 10) as made:
        yield made


def ended_in_one_line_each(trial: Trial, *words: str) -> str:
    """Run a command that fails, and return what it printed."""
    started = trial.start(*words)
    status, text = started.wait(), started.log.read_text()
    assert status in (1, 2), text
    assert "Traceback" not in text and "unexpected error" not in text, text
    return text


def on_full_disk(finished: Finished, folder: Path, small: Disk, stage: str, spare_kb: int) -> None:
    """Let a run meet a full disk, give it room, and complete it."""
    trial = finished.begin(folder / stage, stage, disk=small.folder)
    used = shutil.disk_usage(small.folder).used
    small.resize((used >> 10) + spare_kb)
    assert "No space left" in ended_in_one_line_each(trial, "run")
    assert ended(trial.start("status")) < 2
    small.resize(64 << 10)
    trial.command("run", CONFIG)
    finished.check(trial)
    shutil.rmtree(trial.data)


@pytest.mark.slow
def test_a_full_disk_is_reported_and_a_rerun_completes(
    finished: Finished, small: Disk, tmp_path: Path
) -> None:
    on_full_disk(finished, tmp_path, small, "filter", 8)


@pytest.mark.slow
def test_a_read_only_root_is_one_line_and_can_be_read(
    finished: Finished, small: Disk, tmp_path: Path
) -> None:
    trial = finished.begin(tmp_path / "trial", "label", disk=small.folder)
    assert small.read_only(on=True)
    assert "Read-only file system" in ended_in_one_line_each(trial, "run")
    assert ended(trial.start("status")) < 2
    assert small.read_only(on=False)


@pytest.mark.slow
def test_jumps_of_the_clock_change_nothing_and_delete_nothing(
    finished: Finished, tmp_path: Path
) -> None:
    jump(finished, tmp_path)


def jump(finished: Finished, tmp_path: Path) -> None:
    """Let files and receipts be of other years, and run and collect garbage after each change."""
    trial = copy_of(finished, tmp_path / "trial")
    for shift_s in (DECADE_S, -DECADE_S, -time.time() + 1):
        _set_clock_of_files(trial.data, shift_s)
        trial.command("run", CONFIG)
        trial.command("gc", CONFIG, "--delete")
        finished.check(trial)
    years = Random(20)
    for path, receipt in trial.receipts().items():
        elsewhen = {"finished_at": f"{years.randrange(1970, 2100)}-01-01T00:00:00+00:00"}
        (trial.data / path).write_bytes(receipt.model_copy(update=elsewhen).encode())
    trial.command("run", CONFIG)
    finished.check(trial)
    garbage = trial.data / "label" / ".lost.part"
    for shift_s, is_kept in ((DECADE_S, True), (-DECADE_S, False)):
        garbage.write_bytes(b"half")
        _set_clock_of_files(garbage.parent, shift_s)
        trial.command("gc", CONFIG, "--delete")
        assert garbage.exists() == is_kept


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_jumps_of_the_clock(finished: Finished, tmp_path: Path, report: Report) -> None:
    """Clocks that were wrong when files were written"""
    jump(finished, tmp_path)
    outcome = "nothing made again, nothing deleted, same manifest"
    report.add("files of 1970, of ten years ago and in ten years", 3, outcome)
    report.add("receipts of years between 1970 and 2100", 1, outcome)
    outcome = "unfinished files younger than the grace period are kept, others deleted"
    report.add("garbage in ten years, and of ten years ago", 2, outcome)


def copy_of(finished: Finished, folder: Path) -> Trial:
    """A trial in which everything is done."""
    trial = finished.begin(folder, "download")
    trial.put(finished.files)
    return trial


def _set_clock_of_files(folder: Path, shift_s: float) -> None:
    now_s = time.time()
    for path in folder.rglob("*"):
        os.utime(path, (now_s + shift_s, now_s + shift_s))


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_full_disks(finished: Finished, small: Disk, tmp_path: Path, report: Report) -> None:
    """A disk that is full in the middle of a stage"""
    report.seed = 18
    random = Random(report.seed)
    for stage in ("download", "normalise", "label", "filter", "distil"):
        spare_kb = 4 * random.randrange(1, 20)
        on_full_disk(finished, tmp_path, small, stage, spare_kb)
        report.add(
            f"{spare_kb} kB left when `{stage}` begins", 1, "reported; complete once there is room"
        )


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_roots_that_vanish(finished: Finished, small: Disk, tmp_path: Path, report: Report) -> None:
    """A root that becomes read-only, or is moved away, in the middle of a run"""
    report.seed = 19
    random = Random(report.seed)
    statuses = Counter[int]()
    for number in range(NUM_ROOTS):
        trial = finished.begin(tmp_path / f"ro{number}", "normalise", disk=small.folder)
        started = trial.start("run")
        time.sleep(random.uniform(1, 6))
        while started.is_running and not small.read_only(on=True):
            time.sleep(0.01)
        statuses[ended(started)] += 1
        small.read_only(on=False)
        completed(finished, trial)
        shutil.rmtree(trial.data)
    report.add("remounted read-only", NUM_ROOTS, shown(statuses))
    statuses.clear()
    for number in range(NUM_ROOTS):
        trial = finished.begin(tmp_path / str(number), "normalise")
        started = trial.start("run")
        time.sleep(random.uniform(1, 6))
        away = trial.folder / "away"
        trial.data.rename(away)
        statuses[ended(started)] += 1
        shutil.rmtree(trial.data, ignore_errors=True)
        away.rename(trial.data)
        completed(finished, trial)
    report.add("moved away, and back after the run", NUM_ROOTS, shown(statuses))


def ended(started: Started) -> int:
    """The exit status of a run, whose last words have a line each."""
    status, text = started.wait(), started.log.read_text()
    assert status in (0, 1, 2), text
    assert "Traceback" not in text, text
    return status


def completed(finished: Finished, trial: Trial) -> None:
    trial.command("run", CONFIG)
    finished.check(trial)


def shown(statuses: Counter[int]) -> str:
    times = ", ".join(f"{number} with {status}" for status, number in sorted(statuses.items()))
    return f"runs end: {times}; the next one completes each"
