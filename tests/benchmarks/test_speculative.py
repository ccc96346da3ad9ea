"""The benchmark of speculative decoding as a command, and its bound on the speed."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from benchmarks.speculative import ceiling, step_bytes
from configs.schema import Teacher
from tasks.evaluate.findings import SpeculativeResult
from tasks.whisper.decoding.layers import DecoderLayers
from tasks.whisper.decoding.speculation import draft_dtype
from tasks.whisper.model import LoadedWhisper, load_whisper
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


def whisper(*, num_heads: int) -> LoadedWhisper:
    """Two decoder layers of width 64, windows of 10 frames, and a vocabulary of 20,000."""
    config = WhisperConfig(
        vocab_size=20_000, d_model=64, max_source_positions=10, encoder_layers=1,
        encoder_attention_heads=num_heads, encoder_ffn_dim=64, decoder_layers=2,
        decoder_attention_heads=num_heads, decoder_ffn_dim=128, pad_token_id=19_000,
        bos_token_id=19_000, eos_token_id=19_000, decoder_start_token_id=19_001,
    )  # fmt: skip
    demo = load_whisper(Teacher(path=TEACHER), "float32", "cpu")
    return replace(demo, model=WhisperForConditionalGeneration(config))


@pytest.mark.parametrize("num_heads", [4, 8])
def test_a_step_reads_each_weight_once_and_the_audio_of_each_row(num_heads: int) -> None:
    model = whisper(num_heads=num_heads)
    layers = DecoderLayers(model.model)
    one, two = (step_bytes(model, rows, is_draft=False) for rows in (1, 2))
    assert two - one == layers.cache_shape(num_positions=0).bytes_per_row
    self_attention, mlp, logits = 4 * 64**2, 2 * 64 * 128, 20_000 * 64
    cross_attention = 2 * 64**2 * (4 if num_heads == 4 else 1)  # absorbed if there are few heads
    assert 2 * one - two == 4 * (2 * (self_attention + cross_attention + mlp) + logits)


def test_a_draft_reads_the_frequent_and_the_special_tokens() -> None:
    model = whisper(num_heads=8)
    alone, drafted = (step_bytes(model, 1, is_draft=is_draft) for is_draft in (False, True))
    itemsize = draft_dtype(torch.float32, torch.device("cpu")).itemsize
    num_rare = 20_000 - 16_384 - 1_000
    assert drafted == (alone // 4 - num_rare * 64) * itemsize


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
