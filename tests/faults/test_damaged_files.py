"""One flipped bit in every kind of stored file: found, named, and repaired by what is printed.

The commands are those of an operator: one that uses the file says which file is damaged and how to
recreate it; that command is run as it is printed; then a run is green, with the same manifest.
"""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import pytest

from tasks.stages import STAGE_NAMES
from tests.faults.trial import CONFIG, Finished, Trial

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

KEY = "librispeech/train-clean-100/00000"
TRAIN = "*/*/train-clean-100/00000"
TABLE = "????????.parquet"
RERUN_NORMALISE = ("rerun", CONFIG, "normalise", KEY)
RERUN_FILTER = ("rerun", CONFIG, "filter", KEY)
STATUS = ("status", CONFIG)
VERIFY = ("manifest", "verify", CONFIG)

TOLD = {
    "raw index": ("raw/*/*/archives/00000.*.index.parquet", ("rerun", CONFIG, "plan", KEY)),
    "download receipt": ("raw/*/*/archives/00000.*.receipt.json", STATUS),
    "plan table": (f"plan/{TRAIN}.{TABLE}", RERUN_NORMALISE),
    "plan receipt": (f"plan/{TRAIN}.*.receipt.json", STATUS),
    "normalised table": (f"normalise/{TRAIN}.{TABLE}", ("rerun", CONFIG, "label", KEY)),
    "normalise receipt": (f"normalise/{TRAIN}.*.receipt.json", STATUS),
    "label table": (f"label/{TRAIN}.{TABLE}", VERIFY),
    "label receipt": (f"label/{TRAIN}.*.receipt.json", STATUS),
    "score table": (f"score/{TRAIN}.{TABLE}", RERUN_FILTER),
    "score receipt": (f"score/{TRAIN}.*.receipt.json", STATUS),
    "index table": (f"index/*/*/dev-clean/00000.{TABLE}", RERUN_FILTER),
    "index receipt": ("index/*/*/dev-clean/00000.*.receipt.json", STATUS),
    "filter table": (f"filter/{TRAIN}.{TABLE}", VERIFY),
    "filter receipt": (f"filter/{TRAIN}.*.receipt.json", STATUS),
    "quarantine table": (
        f"normalise/{TRAIN}.*.quarantine.parquet",
        ("explain", CONFIG, "--reason", "too_long"),
    ),
    "manifest": ("manifests/tiny/00001.json", ("manifest", "show", CONFIG)),
    "card": ("manifests/tiny/00001.md", ("manifest", "show", CONFIG, "--card")),
    "student receipt": ("distil/*/student.receipt.json", STATUS),
    "evaluation receipt": ("evaluate/student-*/*/*/*/00000.*.receipt.json", STATUS),
}
"""What says that a file of each kind is damaged."""

MENDED = {
    "plan table": (f"plan/{TRAIN}.{TABLE}", f"normalise/{TRAIN}.*.receipt.json"),
    "raw index": ("raw/*/*/archives/00000.*.index.parquet", f"plan/{TRAIN}.*.receipt.json"),
    "normalised table": (f"normalise/{TRAIN}.{TABLE}", f"label/{TRAIN}.*.receipt.json"),
    "label receipt": (f"label/{TRAIN}.*.receipt.json", ""),
    "manifest": ("manifests/tiny/00001.json", ""),
    "report": ("reports/tiny/*.json", ""),
    "student": ("distil/*/student-*/model.safetensors", "evaluate/student-*.receipt.json"),
    "transcripts": (f"evaluate/teacher-*/*/*/*/00000.{TABLE}", "reports/*"),
}
"""What a run that uses a file repairs itself; the second pattern is what the run has to make."""

DERIVED = {
    "summary": f"label/{Path(TRAIN).parent}/*.summary.json",
    "failure record": "label/*/*/train-clean-100/00001.failure.json",
}


def flip(trial: Trial, pattern: str) -> str:
    """Flip a bit in the middle of the first file that matches; returns its path."""
    path = next(iter(trial.files(pattern)))
    data = bytearray(trial.files(path)[path])
    data[len(data) // 2] ^= 1
    trial.put({path: bytes(data)})
    return path


def delete(trial: Trial, paths: Iterable[str]) -> None:
    for path in paths:
        (trial.data / path).unlink()


def printed(text: str) -> list[str]:
    """The words of the one command that was printed, without `distillery`."""
    (command,) = set(re.findall(r"again: (distillery .+)", text))
    program, *words = shlex.split(command)
    assert program == "distillery"
    return words


def copied(finished: Finished, folder: Path) -> Trial:
    trial = finished.begin(folder, STAGE_NAMES[0], retries=0)
    trial.put(finished.files)
    return trial


def check_green(finished: Finished, trial: Trial) -> None:
    trial.command("run", CONFIG)
    assert [one["number"] for one in trial.json("manifest", "list")] == [1]
    assert trial.json("manifest", "show")["digest"] == finished.digest
    trial.command(*VERIFY)


@pytest.mark.parametrize("kind", TOLD)
def test_the_printed_command_repairs_a_damaged_file(
    finished: Finished, kind: str, tmp_path: Path
) -> None:
    pattern, use = TOLD[kind]
    trial = copied(finished, tmp_path)
    path = flip(trial, pattern)
    told = trial.command(*use, expect=1)
    assert path in told
    command = printed(told)
    assert command == ["repair", CONFIG, path]
    assert "repaired: " in trial.command(*command)
    assert "is not damaged" in trial.command(*command)
    assert "damaged" not in trial.command(*use)
    check_green(finished, trial)


@pytest.mark.parametrize("kind", MENDED)
def test_a_run_repairs_what_it_finds_damaged_and_says_so(
    finished: Finished, kind: str, tmp_path: Path
) -> None:
    pattern, pending = MENDED[kind]
    trial = copied(finished, tmp_path)
    path = flip(trial, pattern)
    delete(trial, trial.files(pending) if pending else ())
    told = trial.command("run", CONFIG)
    assert f"repaired 1 damaged: {path}" in told
    check_green(finished, trial)
