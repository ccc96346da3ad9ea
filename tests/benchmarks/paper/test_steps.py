"""The steps run in their order, are timed over all attempts, and stop where one fails."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.paper import steps
from benchmarks.paper.steps import STEPS, Step, read_timings, run_steps
from configs.grid_runs import load_grid
from configs.load import load_config
from tests.processes import environment

REPOSITORY = Path(__file__).parents[3]
LISTS = Step("list the corpora", ("corpora", "--json"))
FAILS = Step("read a configuration that there is not", ("status", "nothing.yaml"))


def test_a_step_that_is_done_is_not_timed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(steps, "STEPS", [LISTS, FAILS])
    timings = tmp_path / "data" / "timings.json"
    with pytest.raises(SystemExit) as stopped:
        run_steps(timings)
    first = read_timings(timings)
    with pytest.raises(SystemExit):
        run_steps(timings)

    assert stopped.value.code == 2
    assert "nothing.yaml" in capfd.readouterr().err
    assert first[LISTS.command].is_done
    assert not first[FAILS.command].is_done
    second = read_timings(timings)
    assert second[LISTS.command] == first[LISTS.command]
    assert second[FAILS.command].seconds > first[FAILS.command].seconds


def test_without_a_file_nothing_has_taken_any_time(tmp_path: Path) -> None:
    assert read_timings(tmp_path / "timings.json") == {}


def test_the_steps_name_configurations_that_share_their_labels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(REPOSITORY)
    base = load_config(steps.CONFIG)
    for step in STEPS:
        if "grid" in step.arguments:
            grid = load_grid(step.arguments[1])
            assert grid.settings == base
            assert all(run.settings.label == base.label for run in grid.runs)


@pytest.mark.parametrize("step", [step for step in STEPS if step.module != "distillery"])
def test_a_step_is_a_program_that_needs_speech_and_weights(step: Step, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", step.module, *step.arguments],
        cwd=tmp_path, env=environment(PYTHONPATH=str(REPOSITORY)), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert "models/base" in done.stderr or steps.CONFIG in done.stderr
