"""Runs the contenders of `benchmarks.label` in alternation and computes its figures."""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch

from benchmarks.label_floor import Floor, Work, counted, measured
from benchmarks.label_models import DEMO, Models, demo_models, random_models, save
from benchmarks.label_runs import (
    Contender,
    DraftTrial,
    Packing,
    Prepared,
    encode_alone,
    prepared,
    with_engine,
    with_generate,
)
from benchmarks.label_speech import Speech, write_speech
from configs.schema import Label, Teacher
from tasks.whisper.decoding.rules import decoding_rules
from tasks.whisper.whisper import WhisperEngine

WINDOWS_S = {"demo": 8.0, "tiny": 30.0, "large-v2": 30.0}
_NUM_TAUGHT = 192  # windows on which random weights are fitted to end
_FILLED = 0.9  # the share of a window that packing fills
_RATIOS = {
    "engine_vs_generate": ("generate", "engine"),
    "engine_vs_generate_packed": ("generate_packed", "engine"),
    "speculative_vs_engine": ("engine", "speculative"),
    "engine_vs_ctranslate2": ("ctranslate2", "engine"),
}


@dataclass
class Times:
    """Seconds of each round."""

    end_to_end_s: list[float] = field(default_factory=list)
    in_memory_s: list[float] = field(default_factory=list)


@dataclass
class Results:
    """Everything measured; lists have a value for each round."""

    contenders: list[Contender]
    windows: dict[Packing, list[Prepared]]
    times: dict[str, Times] = field(default_factory=dict)
    num_tokens: dict[str, int] = field(default_factory=dict)
    encoder_s: dict[Packing, list[float]] = field(default_factory=dict)
    floors: list[Floor] = field(default_factory=list)


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run all contenders, alternating; returns the value of `--json`."""
    window_s = WINDOWS_S[options.geometry]
    speech = write_speech(
        folder / "speech.parquet",
        options.windows * window_s * _FILLED,
        window_s,
        spoken=options.geometry == "demo",
    )
    models = _models(options, speech)
    trial = DraftTrial()
    skipped: dict[str, str] = {}
    results = Results(
        contenders=_contenders(options, folder, speech, models, skipped),
        windows={
            "none": prepared(speech, models.teacher.window_samples, "none"),
            "speaker": prepared(speech, models.teacher.window_samples, "speaker"),
        },
    )
    for contender in results.contenders:
        results.times[contender.key] = Times()
        results.num_tokens[contender.key] = contender.to_text()
    for number in range(options.rounds):
        turn = number % len(results.contenders)
        for contender in results.contenders[turn:] + results.contenders[:turn]:
            times = results.times[contender.key]
            times.end_to_end_s.append(_seconds(contender.to_labels))
            times.in_memory_s.append(_seconds(contender.to_text))
        _bounds(options, models, results)
    return _value(options, models, speech, results) | {
        "draft": {"agreement": models.agreement, **trial.figures()},
        "skipped": skipped,
    }


def _models(options: argparse.Namespace, speech: Speech) -> Models:
    if options.geometry == "demo":
        return demo_models(options.dtype, options.device, options.draft)
    window_samples = round(WINDOWS_S[options.geometry] * 16_000)
    taught: list[Prepared] = []
    for packing in ("none", "speaker"):
        found = prepared(speech, window_samples, packing)
        taught += found[:: max(1, len(found) * 2 // _NUM_TAUGHT)]
    return random_models(
        options.geometry,
        options.dtype,
        options.device,
        [one.audio.samples for one in taught],
        [sum(speech.num_tokens[u.id] for u in one.window.utterances) for one in taught],
        options.agreement,
    )


def _contenders(
    options: argparse.Namespace,
    folder: Path,
    speech: Speech,
    models: Models,
    skipped: dict[str, str],
) -> list[Contender]:
    teacher, batch_size = models.teacher, options.batch_size
    settings = Label(
        teacher=Teacher(path=DEMO), dtype=options.dtype, temperatures=(0.0,), pack="speaker"
    )
    rules = decoding_rules(teacher.model.generation_config, teacher.model.config, settings)
    common = (speech, settings, folder, min(8, os.cpu_count() or 1))
    plain = WhisperEngine(teacher, batch_size)
    limit = rules.max_new_tokens
    found = [
        with_generate("generate", "(a) generate", teacher, speech, "none", folder, limit),
        with_generate(
            "generate_packed", "(b) generate, packed", teacher, speech, "speaker", folder, limit
        ),
        with_engine("engine", "(c) engine", plain, *common),
        with_engine(
            "speculative",
            "(d) engine, speculative",
            WhisperEngine(teacher, batch_size, models.draft),
            *common,
        ),
    ]
    if find_spec("ctranslate2") is None:
        skipped["ctranslate2"] = "not installed"
    else:
        found.append(_ctranslate2(options, folder, models, settings, plain, common))
    return [one for one in found if options.only is None or one.key in options.only]


def _ctranslate2(
    options: argparse.Namespace,
    folder: Path,
    models: Models,
    settings: Label,
    sampler: WhisperEngine,
    common: tuple[Speech, Label, Path, int],
) -> Contender:
    from tasks.whisper.ctranslate import load_ctranslate2

    if options.geometry != "demo":
        save(models.teacher, folder / "teacher")
        settings = settings.model_copy(update={"teacher": Teacher(path=str(folder / "teacher"))})
    engine = load_ctranslate2(settings, options.device, sampler, 64)
    return with_engine("ctranslate2", "(e) CTranslate2", engine, *common)


def _bounds(options: argparse.Namespace, models: Models, results: Results) -> None:
    """Time the encoder and the lower bound next to each round."""
    num_at_once = 4 if options.device == "cpu" else 32
    for packing, windows in results.windows.items():
        took_s = _seconds(partial(encode_alone, models.teacher, windows, num_at_once))
        results.encoder_s.setdefault(packing, []).append(took_s)
    model: Any = models.teacher.model
    work = Work(
        config=model.config,
        num_windows=len(results.windows["speaker"]),
        num_tokens=results.num_tokens.get("engine", max(results.num_tokens.values())),
        num_rows=min(options.batch_size, len(results.windows["speaker"])),
    )
    if options.device == "cpu":
        results.floors.append(measured(work, model.dtype, model.device))
    else:
        results.floors.append(counted(work, model.dtype.itemsize))


def _value(
    options: argparse.Namespace, models: Models, speech: Speech, results: Results
) -> dict[str, Any]:
    encoder_s = {packing: median(found) for packing, found in results.encoder_s.items()}
    rows = [_row(one, speech, results, encoder_s[one.packing]) for one in results.contenders]
    ratios, in_memory = {}, {}
    for name, (slower, faster) in _RATIOS.items():
        if slower in results.times and faster in results.times:
            one, other = results.times[slower], results.times[faster]
            ratios[name] = _ratio(one.end_to_end_s, other.end_to_end_s)
            in_memory[name] = _ratio(one.in_memory_s, other.in_memory_s)
    figures: dict[str, Any] = {
        "ceiling_rtfx": speech.audio_s / encoder_s["speaker"],
        "encoder_s": encoder_s["speaker"],
        "audio_s": speech.audio_s,
        "in_memory_ratios": in_memory,
    }
    if "engine" in results.times:
        engine = results.times["engine"]
        floor_s = [floor.seconds for floor in results.floors]
        ratios["floor_fraction"] = _ratio(floor_s, engine.end_to_end_s)
        figures |= _shares(results, engine, encoder_s["speaker"])
    return {
        "ratios": ratios,
        "figures": figures,
        "rows": rows,
        "geometry": options.geometry,
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        "dtype": options.dtype,
        "batch_size": options.batch_size,
        "rounds": options.rounds,
        "torch": torch.__version__,
        "num_parameters": sum(weight.numel() for weight in models.teacher.model.parameters()),
    }


def _row(
    contender: Contender, speech: Speech, results: Results, encoder_s: float
) -> dict[str, Any]:
    times = results.times[contender.key]
    end_to_end_s, in_memory_s = median(times.end_to_end_s), median(times.in_memory_s)
    return {
        "key": contender.key,
        "title": contender.title,
        "windows": len(results.windows[contender.packing]),
        "audio_s": speech.audio_s,
        "tokens": results.num_tokens[contender.key],
        "end_to_end_s": end_to_end_s,
        "rtfx": speech.audio_s / end_to_end_s,
        "in_memory_s": in_memory_s,
        "decoder_s": max(0.0, in_memory_s - encoder_s),
        "rounds_s": times.end_to_end_s,
    }


def _shares(results: Results, engine: Times, encoder_s: float) -> dict[str, Any]:
    """The shares of the engine's time by component; they add up to 1."""
    whole_s, in_memory_s = median(engine.end_to_end_s), median(engine.in_memory_s)
    floor = Floor(
        median(one.encoder_s for one in results.floors),
        median(one.decoder_s for one in results.floors),
    )
    parts = {
        "encoder's products": floor.encoder_s,
        "decoder's products": floor.decoder_s,
        "encoder beyond them, and features": encoder_s - floor.encoder_s,
        "decoder beyond them, and text": in_memory_s - encoder_s - floor.decoder_s,
        "reading, packing, committing": whole_s - in_memory_s,
    }
    return {
        "floor_s": floor.seconds,
        "shares": {part: seconds / whole_s for part, seconds in parts.items()},
    }


def _ratio(slower_s: Sequence[float], faster_s: Sequence[float]) -> float:
    """The median of per-round ratios, because a machine may be slow for a while."""
    return median(one / other for one, other in zip(slower_s, faster_s, strict=True))


def _seconds(work: Callable[[], object]) -> float:
    """Results are on the host, so no device work is pending at the end."""
    started_s = perf_counter()
    work()
    return perf_counter() - started_s
