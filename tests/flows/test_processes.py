"""A student that two processes train is that of one, however they were started or killed."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.flows.running import COMMAND, Run, copied, tiny
from tests.processes import environment

NUM_KILLS = 4
TORCHRUN = Path(sys.executable).with_name("torchrun")
LAUNCH = ["--nproc-per-node", "2", "--no-python", str(COMMAND), "train", "tiny.yaml"]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Everything before training, with checkpoints after nearly every step."""
    run = tiny(tmp_path_factory.mktemp("published"))
    settings = yaml.safe_load(run.config.read_text())
    settings["distil"] |= {"num_steps": 8, "evaluate_every_steps": 4}
    run.config.write_text(yaml.safe_dump(settings))
    run.run("--until", "publish")
    return run


def trained(run: Run, folder: Path, **runtime: Any) -> Path:
    """Train in a copy of the run; returns the folder of the student's weights."""
    return train(copy(run, folder, **runtime))


def copy(run: Run, folder: Path, **runtime: Any) -> Run:
    copied(run, folder)
    settings = yaml.safe_load(run.config.read_text())
    settings["runtime"] |= {"checkpoint_every_minutes": 1e-4, **runtime}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(settings))
    return Run(folder, folder / "tiny.yaml")


def train(run: Run) -> Path:
    run.process("train", "tiny.yaml")
    return student(run)


def student(run: Run) -> Path:
    (weights,) = run.root.glob("distil/*/student-*/model.safetensors")
    return weights.parent


def rows(folder: Path) -> list[dict[str, float | None]]:
    return [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def by_two(published: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(published, tmp_path_factory.mktemp("two"), devices=["cpu", "cpu"])


def test_two_processes_train_as_one_does(published: Run, by_two: Path, tmp_path: Path) -> None:
    alone = rows(trained(published, tmp_path))
    assert [row.keys() for row in rows(by_two)] == [row.keys() for row in alone]
    for one, other in zip(alone, rows(by_two), strict=True):
        for name, value in one.items():
            assert other[name] == (None if value is None else pytest.approx(value, rel=1e-5))


@pytest.mark.slow
def test_torchrun_starts_the_same_training(published: Run, by_two: Path, tmp_path: Path) -> None:
    run = copy(published, tmp_path)
    done = subprocess.run(
        [str(TORCHRUN), *LAUNCH], cwd=tmp_path, env=environment(OMP_NUM_THREADS="1"),
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert rows(student(run)) == rows(by_two)
    assert student(run).name == by_two.name  # which has a digest of the weights


def latest_checkpoint(run: Run) -> int:
    """The step of the newest checkpoint, 0 if there is none."""
    found = run.root.glob("distil/*/checkpoints/step-*/files.json")
    return max((int(path.parent.name.removeprefix("step-")) for path in found), default=0)


def wait_for_checkpoint(run: Run, step: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 100
    while process.poll() is None and latest_checkpoint(run) < step and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.slow
def test_sigterm_to_torchrun_ends_all_and_loses_nothing(
    published: Run, by_two: Path, tmp_path: Path
) -> None:
    run = copy(published, tmp_path, devices=["cpu", "cpu"])
    with subprocess.Popen(
        [str(TORCHRUN), *LAUNCH], cwd=tmp_path, env=environment(OMP_NUM_THREADS="1"),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        wait_for_checkpoint(run, 1, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) != 0
    assert 0 < latest_checkpoint(run) < 8
    assert train(run).name == by_two.name
    assert rows(student(run)) == rows(by_two)


@pytest.mark.slow
def test_kills_change_no_bit(published: Run, by_two: Path, tmp_path: Path) -> None:
    run = copy(published, tmp_path, devices=["cpu", "cpu"])
    chance = random.Random(16)
    for _ in range(NUM_KILLS):
        with subprocess.Popen(
            [str(COMMAND), "train", "tiny.yaml"], cwd=tmp_path, env=environment(),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            wait_for_checkpoint(run, latest_checkpoint(run) + 1, process)
            time.sleep(chance.uniform(0, 0.3))
            process.kill()
    assert train(run).name == by_two.name
    assert rows(student(run)) == rows(by_two)
