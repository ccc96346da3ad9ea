"""The commands of the experiment, in their order, and how long each of them has taken."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

CONFIG: Final = "configs/paper-in-small.yaml"
STUDENTS: Final = "configs/grids/paper-in-small-students.yaml"
SEEDS: Final = "configs/grids/paper-in-small-seeds.yaml"
HOURS: Final = "configs/grids/paper-in-small-hours.yaml"
ABLATIONS: Final = "configs/grids/paper-in-small-ablations.yaml"
TRIALS: Final = (
    "configs/grids/paper-in-small-trials.yaml",
    "configs/grids/paper-in-small-two-layers.yaml",
)
"""By which settings were chosen; not steps, since their results are in the other settings."""

CORPUS: Final = "librispeech"
"""Whose test speech tells how far a student is from its teacher: none of it is trained on."""

_KEPT_EVERY_S: Final = 20.0


@dataclass(frozen=True)
class Step:
    """A module of the experiment with its arguments, and what it is for."""

    title: str
    arguments: tuple[str, ...]
    module: str = "distillery"

    @property
    def command(self) -> str:
        """As it is typed."""
        program = self.module if self.module == "distillery" else f"python -m {self.module}"
        return " ".join((program, *self.arguments))


STEPS: Final = (
    Step("label and filter the speech", ("run", CONFIG, "--until", "publish")),
    Step("train and measure both students", ("grid", STUDENTS)),
    Step("compare their text as drafts", (), "benchmarks.paper.identity"),
    Step("train them with other seeds", ("grid", SEEDS)),
    Step("train on shares of the hours", ("grid", HOURS)),
    Step("train with one setting changed", ("grid", ABLATIONS)),
    Step("label and train without packing", (), "benchmarks.paper.packing"),
)


def run_steps(timings: Path) -> None:
    """Run all steps; what is done is not done again.

    `timings` is a JSON file of the seconds that each command has taken, over all attempts until it
    succeeded. It is kept up to date while a command runs, so that a kill loses no more than 20
    seconds. Raises `SystemExit` with the status of a command that fails.
    """
    for step in STEPS:
        kept = read_timings(timings)
        is_done = step.command in kept and kept[step.command].is_done
        process = subprocess.Popen([sys.executable, "-m", step.module, *step.arguments])
        for seconds, status in _watched(process):
            if not is_done:
                before = kept[step.command].seconds if step.command in kept else 0.0
                _keep(timings, step, Timing(before + seconds, is_done=status == 0))
            if status:
                raise SystemExit(status)


@dataclass(frozen=True)
class Timing:
    """How long a command has taken so far, and whether it has succeeded."""

    seconds: float
    is_done: bool


def read_timings(path: Path) -> Mapping[str, Timing]:
    """The timings of a file by command; none if there is no file."""
    if not path.exists():
        return {}
    return {name: Timing(**values) for name, values in json.loads(path.read_text()).items()}


def _watched(process: subprocess.Popen[bytes]) -> Iterator[tuple[float, int | None]]:
    """The seconds since the start and the exit status, or None, until the process ends.

    Ctrl-C reaches the process as well, which says what it means.
    """
    started_at = monotonic()
    status = None
    while status is None:
        try:
            status = process.wait(_KEPT_EVERY_S)
        except subprocess.TimeoutExpired:
            status = None
        except KeyboardInterrupt:
            status = process.wait()
        yield monotonic() - started_at, status


def _keep(path: Path, step: Step, timing: Timing) -> None:
    values = {name: vars(one) for name, one in read_timings(path).items()}
    values[step.command] = vars(timing)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(f"{json.dumps(values, indent=1)}\n")
    part.replace(path)
