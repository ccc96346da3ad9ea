"""Killed at any moment and started again, a run ends with the same manifest."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests.flows.running import COMMAND, Run, tiny
from tests.processes import environment


@pytest.mark.slow
def test_three_kills_do_not_change_the_manifest(finished: Run, tmp_path: Path) -> None:
    run = tiny(tmp_path)
    for stage in ("normalise", "label", "distil"):
        _kill_once(run, stage)
    run.run()
    assert run.digest == finished.digest
    assert [one["number"] for one in run.json("manifest", "list")] == [1]
    assert run.json("status") == finished.json("status")


def _kill_once(run: Run, stage: str) -> None:
    """Start a run and kill it as soon as the stage has written anything."""
    process = subprocess.Popen(
        [str(COMMAND), "run", run.config.name],
        cwd=run.folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    children: list[psutil.Process] = []
    while process.poll() is None and not (run.root / stage).exists():
        children = psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.02)
    assert process.poll() is None, f"the run ended before {stage}"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive, "a server outlived the run that started it"
