"""Killed while three corpora advance at once, a run ends with the same manifest."""

import subprocess
import time
from pathlib import Path
from random import Random

import pytest
import yaml

from tests.builders import untimed
from tests.flows.running import COMMAND, Run, tiny
from tests.prefect_server import SHARED
from tests.processes import environment


def three_corpora(folder: Path) -> Run:
    """A run of three corpora whose stages overlap, up to the manifest."""
    run = tiny(folder)
    settings = yaml.safe_load(run.config.read_text())
    for name in ("voxpopuli", "peoples_speech"):
        settings["corpora"][name] = {
            "mirror": f"tiny-data/synthetic/{name}", "checksums": "sha256sums"
        }  # fmt: skip
    run.config.write_text(yaml.safe_dump(settings))
    return run


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_kills_of_an_overlapping_run_do_not_change_the_manifest(tmp_path: Path) -> None:
    """Each at a random moment after the run has begun to write receipts of its own."""
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole, killed = three_corpora(tmp_path / "whole"), three_corpora(tmp_path / "killed")
    whole.run("--until", "publish")
    random = Random(13)
    num_receipts = len(list(whole.root.rglob("*.receipt.json")))
    for kill in range(10):
        _kill_after(killed, (kill + 1) * num_receipts // 12, random.uniform(0, 0.3))
    killed.run("--until", "publish")
    assert killed.digest == whole.digest
    assert [one["number"] for one in killed.json("manifest", "list")] == [1]
    assert untimed(killed.json("status")) == untimed(whole.json("status"))


def _kill_after(run: Run, num_receipts: int, pause_s: float) -> None:
    """Start a run and kill it once so many receipts are there, and a moment later."""
    process = subprocess.Popen(
        [str(COMMAND), "run", run.config.name, "--until", "publish"],
        cwd=run.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=environment(**SHARED.started().client_settings),
    )  # fmt: skip
    while process.poll() is None and len(list(run.root.rglob("*.receipt.json"))) < num_receipts:
        time.sleep(0.02)
    time.sleep(pause_s)
    process.kill()
    process.wait()
