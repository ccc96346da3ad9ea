"""The contenders of one comparison, loaded."""

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch

from benchmarks.label.contender import Contender, Prepared
from benchmarks.label.encoder import Run
from benchmarks.label.generate import GenerateEngine
from benchmarks.label.models import Models
from configs.schema import Label
from tasks.audio import SAMPLE_RATE_HZ
from tasks.whisper.engine import Engine
from tasks.whisper.model import Dtype
from tasks.whisper.whisper import WhisperEngine

CT2_BATCH, GENERATE_BATCH, GPU_BATCH = 8, 16, 64


@dataclass
class Field:
    """Contenders in the order of the table, and why others are missing."""

    contenders: list[Contender] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    encoders: dict[str, Run] = field(default_factory=dict)


def load_field(
    options: argparse.Namespace,
    models: Models,
    settings: Label,
    folder: Path,
    windows: list[Prepared],
) -> Field:
    """Load what `options.only` selects; the first windows serve to choose between layouts."""
    found = Field()
    batch_size = GENERATE_BATCH if options.device == "cpu" else GPU_BATCH
    wanted = _Wanted(options.only)
    if options.unpacked and wanted("generate", options.dtypes[0]):
        engine = GenerateEngine(models.teacher, batch_size)
        found.contenders.append(
            Contender("generate", "generate", options.dtypes[0], engine, packing="none")
        )
    for key, title, make in _of_torch(options, models, batch_size):
        for dtype in options.dtypes:
            if wanted(key, dtype) and (key != "speculative" or models.drafts):
                found.contenders.append(Contender(key, title, dtype, make(dtype)))
    _add_ctranslate2(found, options, models, settings, folder, windows, wanted)
    return found


@dataclass(frozen=True)
class _Wanted:
    """Whether a contender is selected, by its key or by key and precision."""

    only: list[str] | None

    def __call__(self, key: str, dtype: str) -> bool:
        return self.only is None or key in self.only or f"{key}.{dtype}" in self.only


def _of_torch(
    options: argparse.Namespace, models: Models, batch_size: int
) -> Iterator[tuple[str, str, Callable[[Dtype], Engine]]]:
    yield (
        "generate_packed",
        "generate, packed",
        lambda dtype: GenerateEngine(models.teachers[dtype], batch_size),
    )
    yield (
        "engine",
        "engine",
        lambda dtype: WhisperEngine(models.teachers[dtype], options.batch_size),
    )
    yield (
        "speculative",
        "engine, speculative",
        lambda dtype: WhisperEngine(
            models.teachers[dtype], options.batch_size, models.drafts[dtype]
        ),
    )


def _add_ctranslate2(
    found: Field,
    options: argparse.Namespace,
    models: Models,
    settings: Label,
    folder: Path,
    windows: list[Prepared],
    wanted: _Wanted,
) -> None:
    """Add CTranslate2, and faster-whisper over it, at the precisions of the others and in int8."""
    if find_spec("ctranslate2") is None:
        found.skipped |= dict.fromkeys(("ctranslate2", "faster_whisper"), "not installed")
        return
    from benchmarks.label import ctranslate
    from benchmarks.label.faster import faster_whisper_engine

    makers: dict[str, tuple[str, ctranslate.MakeEngine]] = {
        "ctranslate2": ("CTranslate2", ctranslate.ctranslate2_engine),
        "faster_whisper": ("faster-whisper, batched", faster_whisper_engine),
    }
    has_int8 = "int8" if options.device == "cpu" else "int8_float16"
    dtypes = ctranslate.supported(options.device, [*options.dtypes, has_int8])
    layouts = ctranslate.layouts(torch.get_num_threads() if options.device == "cpu" else 1)
    tried = [one.audio for one in windows[: 2 * CT2_BATCH]]
    batch_size = CT2_BATCH if options.device == "cpu" else GPU_BATCH
    for key, (title, make) in makers.items():
        if key == "faster_whisper" and find_spec(key) is None:
            found.skipped[key] = "not installed"
            continue
        if key == "faster_whisper" and models.teacher.window_samples != 30 * SAMPLE_RATE_HZ:
            found.skipped[key] = "its windows have 30 s, those of this teacher have not"
            continue
        if not (chosen := [dtype for dtype in dtypes if wanted(key, dtype)]):
            continue
        converted = ctranslate.converted(models, folder)
        load = partial(make, converted, models.teacher)
        layout = ctranslate.fastest_layout(
            partial(load, chosen[0], batch_size), layouts, tried, settings
        )
        for dtype in chosen:
            engine = load(dtype, batch_size, layout)
            found.contenders.append(Contender(key, title, dtype, engine))
            if dtype == options.dtypes[0] and isinstance(engine, ctranslate.CTranslate2Engine):
                found.encoders["CTranslate2"] = engine.encode


def default_threads() -> int:
    """Threads that decode audio, as many as the pipeline would use."""
    return min(8, os.cpu_count() or 1)
