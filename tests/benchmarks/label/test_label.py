"""The benchmark of labelling as a command, on weights and audio of one's own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.label.test_audio import write_table

ROOT = Path(__file__).parents[3]
TEACHER = "tasks/demo/teacher"


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.label", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)


def found(*options: str) -> dict[str, Any]:
    done = run(*options, "--windows", "2", "--rounds", "1", "--json")
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.mark.slow
def test_it_compares_engines_by_speed_and_word_errors(tmp_path: Path) -> None:
    table = write_table(tmp_path, text=["a b"] * 4, speaker=["s"] * 4)
    value = found("--teacher", TEACHER, "--audio", str(table), "--draft", TEACHER)
    rows = {(row["key"], row["dtype"]): row for row in value["rows"]}
    assert rows.keys() >= {
        ("generate_packed", "float32"),
        ("engine", "float32"),
        ("engine", "bfloat16"),
        ("speculative", "float32"),
        ("ctranslate2", "float32"),
        ("ctranslate2", "int8"),
    }
    # greedy tokens do not depend on the engine
    wer_percents = {row["wer_percent"] for (_, dtype), row in rows.items() if dtype == "float32"}
    assert len(wer_percents) == 1
    assert None not in wer_percents
    assert {"engine_vs_ctranslate2", "best_vs_ctranslate2_best", "floor_fraction"} <= set(
        value["ratios"]
    )
    # the draft is the teacher itself
    assert value["draft"]["agreement"] == 1.0
    assert "faster_whisper" in value["skipped"]  # not installed, or not for windows of 8 s


@pytest.mark.slow
def test_it_has_a_mode_shaped_like_mlperf(tmp_path: Path) -> None:
    table = write_table(tmp_path, text=["a b"] * 4, speaker=["s"] * 4)
    value = found("--teacher", TEACHER, "--audio", str(table), "--mlperf", "--dtype", "float32")
    [row] = value["mlperf"]["rows"]
    assert row["windows_per_s"] > 0
    assert value["mlperf"]["published_windows_per_s"]["H200"] == 67.9


@pytest.mark.parametrize(
    "options", [("--teacher", TEACHER), ("--geometry", "tiny"), ("--dtype", "int8")]
)
def test_options_that_do_not_go_together_are_refused(options: tuple[str, ...]) -> None:
    done = run(*options)
    assert done.returncode == 2
    assert "error" in done.stderr
