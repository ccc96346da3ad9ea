"""Recovery of the engine when a batch does not fit into memory."""

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import torch

from benchmarks.gpu.check import DEMO, Outcome, Setup
from benchmarks.gpu.speech import windows_of
from benchmarks.gpu.tokens import settings_of, with_engine
from tasks.whisper.decoding.layers import DecoderLayers
from tasks.whisper.decoding.rules import decoding_rules
from tasks.whisper.model import LoadedWhisper
from tasks.whisper.whisper import WhisperEngine

BATCH_SIZE: Final = 512
"""Large, so that a share of its memory holds the workspaces of libraries too."""
_FITTING: Final = 16
_LIMITS: Final = {"at once": (0.4, 0), "midway": (1.0, 32 << 20)}
"""A share of the memory of the batch's caches, and bytes besides.

With the first limit the caches do not fit; with the second they do, and what follows does not,
unless the device needs very little.
"""

Limit = Callable[[torch.device, int], AbstractContextManager[None]]


@contextmanager
def limited_memory(device: torch.device, num_bytes: int) -> Iterator[None]:
    """Let torch allocate `num_bytes` more than it has now."""
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    reserved = torch.cuda.memory_reserved(device)
    torch.cuda.set_per_process_memory_fraction((reserved + num_bytes) / total, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def check_memory(setup: Setup, limit: Limit | None = None) -> Outcome:
    """Without memory for its caches the batch must be halved, and the tokens be the same.

    `limit` bounds the memory of a device; only a GPU has one by default. The demo teacher is used,
    whose memory every GPU has.
    """
    if limit is None and setup.device.type != "cuda":
        return Outcome(passed=None, detail="memory can be limited on a GPU only")
    teacher = replace(setup, teacher=DEMO).load("float32")
    windows = windows_of(setup, teacher.window_samples)
    expected = with_engine(teacher, windows, WhisperEngine(teacher, _FITTING))
    num_bytes = BATCH_SIZE * _cache_bytes_per_window(teacher)
    parts, passed = [], True
    figures: dict[str, float] = {}
    for when, (share, extra) in _LIMITS.items():
        with (
            _halvings() as halvings,
            (limit or limited_memory)(setup.device, int(share * num_bytes) + extra),
        ):
            found = with_engine(teacher, windows, WhisperEngine(teacher, BATCH_SIZE))
        batch_sizes = [BATCH_SIZE, *halvings.batch_sizes]
        same = sum(found[name] == tokens for name, tokens in expected.items())
        is_halved = len(batch_sizes) > 1 or when != "at once"
        passed = passed and is_halved and same == len(expected)
        figures[f"batch_size_{when.replace(' ', '_')}"] = batch_sizes[-1]
        parts.append(
            f"{when}: batches of {', '.join(map(str, batch_sizes))},"
            f" {same} of {len(expected)} windows are equal"
        )
    return Outcome(passed=passed, detail="; ".join(parts), figures=figures)


def _cache_bytes_per_window(teacher: LoadedWhisper) -> int:
    model: Any = teacher.model
    rules = decoding_rules(model.generation_config, model.config, settings_of())
    num_positions = len(rules.prompt) + rules.max_new_tokens
    return DecoderLayers(model).cache_shape(num_positions).bytes_per_row


@dataclass(eq=False)
class _Halvings(logging.Handler):
    """The batch sizes that the engine's warnings name."""

    batch_sizes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the last argument, the new batch size."""
        if isinstance(record.args, tuple) and record.msg.startswith("out of memory"):
            self.batch_sizes.append(int(str(record.args[-1])))


@contextmanager
def _halvings() -> Iterator[_Halvings]:
    logger, handler = logging.getLogger("tasks.whisper.whisper"), _Halvings()
    logger.addHandler(handler)
    propagates, logger.propagate = logger.propagate, False
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates
