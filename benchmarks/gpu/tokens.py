"""Tokens of the engine, against those of `generate` of transformers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

import torch

from benchmarks.gpu.check import Outcome, Setup
from benchmarks.gpu.speech import windows_of
from benchmarks.label.generate import GenerateEngine
from configs.schema import Label, Teacher
from tasks.whisper.decoding.rules import decoding_rules
from tasks.whisper.engine import AudioWindow, Engine
from tasks.whisper.model import Dtype, LoadedWhisper, log_mel
from tasks.whisper.whisper import WhisperEngine

Labels = dict[str, list[int]]
"""The text tokens of each window, without prompt and end token."""

_MIN_PERCENT: Final[dict[Dtype, float]] = {"float32": 100.0, "bfloat16": 99.0}
_TIE: Final[dict[Dtype, float]] = {"float32": 0.0, "bfloat16": 2.0**-6}
"""Two logits that differ by less, relative to the larger one, are equal within rounding.

In bfloat16 that is four units in the last place; in float32 no difference is excused.
"""
_BATCH_SIZE: Final = 32


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first token in which a window differs, and the logits of both tokens there."""

    window_id: str
    index: int
    tokens: tuple[int, int]
    logits: tuple[float, float]

    def __str__(self) -> str:
        (ours, theirs), (of_ours, of_theirs) = self.tokens, self.logits
        return (
            f"{self.window_id} first differs at token {self.index}: {ours}, transformers {theirs},"
            f" logits {of_ours:.5g} and {of_theirs:.5g}"
        )

    def is_tie(self, tolerance: float) -> bool:
        """Whether the two tokens are equally likely within rounding."""
        one, other = self.logits
        return abs(one - other) < tolerance * max(abs(one), abs(other))


def check_tokens(setup: Setup) -> Outcome:
    """All windows must be equal in float32; in bfloat16 99 % must, up to a near tie.

    Convolutions are computed in float32 too, not in TF32, which is torch's default on a GPU.
    """
    figures: dict[str, float] = {}
    parts, passed = [], True
    for dtype, min_percent in _MIN_PERCENT.items():
        teacher = setup.load(dtype)
        windows = windows_of(setup, teacher.window_samples)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=dtype != "float32"):
            found = with_engine(teacher, windows, WhisperEngine(teacher, _BATCH_SIZE))
            expected = with_engine(teacher, windows, GenerateEngine(teacher, _BATCH_SIZE))
        differences = [
            first_difference(teacher, window, found[window.id], expected[window.id])
            for window in windows
            if found[window.id] != expected[window.id]
        ]
        real = [one for one in differences if not one.is_tie(_TIE[dtype])]
        num_equal, num_ties = len(windows) - len(differences), len(differences) - len(real)
        figures[f"{dtype}_percent"] = 100 * num_equal / len(windows)
        figures[f"{dtype}_percent_with_ties"] = 100 * (num_equal + num_ties) / len(windows)
        passed = passed and figures[f"{dtype}_percent_with_ties"] >= min_percent
        part = f"{dtype}: {num_equal} of {len(windows)} windows are equal"
        if num_ties:
            part += f", {num_ties} more up to a near tie"
        if real:
            part += f" ({real[0]})"
        parts.append(part)
    return Outcome(passed=passed, detail="; ".join(parts), figures=figures)


def settings_of() -> Label:
    """Greedy, without fallback and timestamps."""
    return Label(teacher=Teacher(path="loaded"), temperatures=(0.0,))


def with_engine(teacher: LoadedWhisper, windows: Sequence[AudioWindow], engine: Engine) -> Labels:
    """The engine's tokens."""
    end: Any = teacher.model.generation_config.eos_token_id
    return {
        window.id: [token for token in result.tokens if token < end]
        for window, result in engine.transcribe(windows, settings_of())
    }


@torch.inference_mode()
def first_difference(
    teacher: LoadedWhisper, window: AudioWindow, found: Sequence[int], expected: Sequence[int]
) -> Difference:
    """Where two labels of a window part; logits are those of transformers, without a cache."""
    model: Any = teacher.model
    rules = decoding_rules(model.generation_config, model.config, settings_of())
    pairs = zip_longest(found, expected, fillvalue=rules.end_id)
    index, ours, theirs = next((at, *pair) for at, pair in enumerate(pairs) if pair[0] != pair[1])
    tokens = torch.tensor([[*rules.prompt, *found[:index]]], device=model.device)
    features = log_mel(teacher, [window.samples])
    logits = model(features, decoder_input_ids=tokens).logits[0, -1].float()
    return Difference(
        window_id=window.id,
        index=index,
        tokens=(ours, theirs),
        logits=(float(logits[ours]), float(logits[theirs])),
    )
