"""The benchmark of speculative decoding as a command, and its bound on the speed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.speculative import ceiling
from tasks.evaluate.findings import SpeculativeResult
from tests.benchmarks.label.test_audio import write_table

ROOT = Path(__file__).parents[2]
TEACHER = "tasks/demo/teacher"


def result(*, drafted: float, tokens: float) -> SpeculativeResult:
    return SpeculativeResult(
        batch_size=1, fallback=False, num_utterances=1, num_identical=1, acceptance_percent=50,
        tokens_per_round=tokens, drafted_per_round=drafted, relative_speed=1,
        relative_speed_range=(1, 1),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("drafted", "tokens", "decoder_share", "draft_share", "expected"),
    [
        (4, 5, 1.0, 0.0, 9.0),  # all accepted, for nothing: nine tokens a step
        (4, 5, 0.5, 0.0, 1.8),  # 0.5 + 0.5 / 9
        (1, 1.5, 1.0, 0.0, 1.998),  # half are accepted: (1 - 0.5 ** 9) / 0.5 tokens a step
        (1, 1.5, 1.0, 0.25, 1.2),  # 1.5 tokens for 1.25 steps; with two drafts 1.75 for 1.5
        (4, 1, 1.0, 0.25, 1.0),  # nothing is accepted: better no draft
    ],
)
def test_the_ceiling_is_that_of_hand_computed_cases(
    drafted: float, tokens: float, decoder_share: float, draft_share: float, expected: float
) -> None:
    found = ceiling(result(drafted=drafted, tokens=tokens), decoder_share, draft_share)
    assert found == pytest.approx(expected, rel=1e-3)


def found(audio: Path, *options: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks.speculative", "--teacher", TEACHER]
    command += ["--draft", TEACHER, "--audio", str(audio), "--batch-sizes", "1,2", *options]
    done = subprocess.run(
        [*command, "--json"], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_tokens_are_compared_at_all_batch_sizes(tmp_path: Path) -> None:
    rows = found(write_table(tmp_path, text=["a b"] * 4), "--identity")
    assert [(row["fallback"], row["batch_size"]) for row in rows] == [
        (False, 1), (False, 2), (True, 1), (True, 2),
    ]  # fmt: skip
    for row in rows:
        assert row["num_identical"] == row["num_utterances"] == 4
        assert row["acceptance_percent"] > 0


@pytest.mark.slow
def test_the_speed_comes_with_its_ceiling(tmp_path: Path) -> None:
    rows = found(write_table(tmp_path, text=["a b"] * 4), "--rounds", "1")
    assert [row["batch_size"] for row in rows] == [1, 2]
    for row in rows:
        assert row["num_identical"] == row["num_utterances"] == 4
        assert 0 < row["decoder_share"] < 1
        assert row["ceiling"] >= 1
