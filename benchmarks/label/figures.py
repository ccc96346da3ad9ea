"""Turns measurements into the figures of `benchmarks.label`: rows, ratios and word error rates.

A ratio compares two times of each round and is the median over rounds, because a machine may be
slow for a while. Above 1, the engine is the faster one.
"""

import argparse
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch

from benchmarks.label.contender import Contender
from benchmarks.label.draft import agreement
from benchmarks.label.rounds import Results, Times
from tasks.text.comparison import WordErrors, count_word_errors, normaliser

MAX_WER_LOSS = 0.1  # percentage points that an engine's fastest precision may lose
_AGREEMENT_WINDOWS = 24
_RATIOS = {
    "engine_vs_generate": ("generate", "engine"),
    "engine_vs_generate_packed": ("generate_packed", "engine"),
    "speculative_vs_engine": ("engine", "speculative"),
    "engine_vs_ctranslate2": ("ctranslate2", "engine"),
    "engine_vs_faster_whisper": ("faster_whisper", "engine"),
}
_BEST_RATIOS = {
    "best_vs_generate_best": "generate_packed",
    "best_vs_ctranslate2_best": "ctranslate2",
    "best_vs_faster_whisper_best": "faster_whisper",
}


def value(options: argparse.Namespace, results: Results) -> dict[str, Any]:
    """The value of `--json`."""
    found = results.contenders
    rows = [_row(one, results) for one in found.contenders]
    best = best_of_each(rows, options.dtypes[0])
    ratios, in_memory = _ratios(options, results, best)
    encoder_s = median(results.encoder_s)
    figures: dict[str, Any] = {
        "audio_s": results.speech.audio_s,
        "encoder": results.encoder.name,
        "encoder_s": encoder_s,
        "encoder_rounds_s": results.encoder_s,
        "features_s": results.encoder.features_s,
        "ceiling_rtfx": results.speech.audio_s / encoder_s,
        "in_memory_ratios": in_memory,
    }
    name = f"engine.{options.dtypes[0]}"
    if name in results.times:
        floor_s = [one.seconds for one in results.products] or results.encoder_s
        ratios["floor_fraction"] = _ratio(floor_s, results.times[name].end_to_end_s)
        figures |= {"floor_s": median(floor_s), "shares": _shares(results, results.times[name])}
    return {
        "ratios": ratios,
        "figures": figures,
        "best": best,
        "rows": rows,
        "draft": {"agreement": _draft_agreement(options, results), **results.trial.figures()},
        "skipped": found.skipped,
        "teacher": str(options.teacher or options.geometry),
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu",
        "batch_size": options.batch_size,
        "rounds": options.rounds,
        "torch": torch.__version__,
        "num_parameters": sum(
            weight.numel() for weight in results.models.teacher.model.parameters()
        ),
    }


def _draft_agreement(options: argparse.Namespace, results: Results) -> float | None:
    """The share of the engine's tokens that the draft predicts; None without a draft."""
    dtype = options.dtypes[0]
    labelled = results.labelled.get(f"speculative.{dtype}")
    if results.models.agreement is not None or labelled is None:
        return results.models.agreement
    windows = results.windows["speaker"][:_AGREEMENT_WINDOWS]
    return agreement(results.models.drafts[dtype], windows, labelled)


def _ratios(
    options: argparse.Namespace, results: Results, best: dict[str, str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Ratios end to end and in memory: at the first precision, and at the best of each engine."""
    pairs = {
        name: (f"{slower}.{options.dtypes[0]}", f"{faster}.{options.dtypes[0]}")
        for name, (slower, faster) in _RATIOS.items()
    }
    if "engine" in best:
        pairs |= {
            name: (best[slower], best["engine"])
            for name, slower in _BEST_RATIOS.items()
            if slower in best
        }
    ratios, in_memory = {}, {}
    for name, pair in pairs.items():
        if all(one in results.times for one in pair):
            slower, faster = (results.times[one] for one in pair)
            ratios[name] = _ratio(slower.end_to_end_s, faster.end_to_end_s)
            if slower.in_memory_s:
                in_memory[name] = _ratio(slower.in_memory_s, faster.in_memory_s)
    return ratios, in_memory


def best_of_each(rows: Sequence[dict[str, Any]], dtype: str) -> dict[str, str]:
    """The fastest precision of each engine that loses at most `MAX_WER_LOSS` against `dtype`.

    Empty without references. An engine without a row at `dtype` is left out.
    """
    found = {}
    for first in rows:
        if first["dtype"] != dtype or first["wer_percent"] is None:
            continue
        allowed = [
            row
            for row in rows
            if row["key"] == first["key"]
            and row["wer_percent"] <= first["wer_percent"] + MAX_WER_LOSS
        ]
        fastest = min(allowed, key=lambda row: row["end_to_end_s"])
        found[first["key"]] = f"{fastest['key']}.{fastest['dtype']}"
    return found


def _row(contender: Contender, results: Results) -> dict[str, Any]:
    times, labelled = results.times[contender.name], results.labelled[contender.name]
    num_windows = len(results.windows[contender.packing])
    end_to_end_s = median(times.end_to_end_s)
    in_memory_s = median(times.in_memory_s) if times.in_memory_s else None
    of_encoder = num_windows / len(results.windows["speaker"])
    return {
        "key": contender.key,
        "title": contender.title,
        "dtype": contender.dtype,
        "layout": str(getattr(contender.engine, "layout", "")),
        "windows": num_windows,
        "audio_s": results.speech.audio_s,
        "tokens": labelled.num_tokens,
        "wer_percent": _wer_percent(contender, results),
        "end_to_end_s": end_to_end_s,
        "rtfx": results.speech.audio_s / end_to_end_s,
        "windows_per_s": num_windows / end_to_end_s,
        "in_memory_s": in_memory_s,
        "decoder_s": None
        if in_memory_s is None
        else max(0.0, in_memory_s - of_encoder * median(results.encoder_s)),
        "rounds_s": times.end_to_end_s,
    }


def _wer_percent(contender: Contender, results: Results) -> float | None:
    """Over all windows, with Whisper's English normaliser; None without references."""
    english, texts = normaliser("english"), results.labelled[contender.name].texts
    windows = results.windows[contender.packing]
    references = [
        english(" ".join(results.speech.texts[one.id] for one in window.window.utterances))
        for window in windows
    ]
    hypotheses = [english(texts[window.audio.id]) for window in windows]
    return sum(count_word_errors(references, hypotheses), WordErrors()).wer_percent


def _shares(results: Results, engine: Times) -> dict[str, float]:
    """The shares of the engine's time by component; they add up to 1."""
    whole_s = median(engine.end_to_end_s)
    parts = {
        "encoder": median(results.encoder_s),
        "features": results.encoder.features_s,
    }
    if engine.in_memory_s:
        in_memory_s = median(engine.in_memory_s)
        parts["decoder and text"] = in_memory_s - sum(parts.values())
        parts["reading, packing, committing"] = whole_s - in_memory_s
    else:
        parts["decoder, text, reading, committing"] = whole_s - sum(parts.values())
    return {part: seconds / whole_s for part, seconds in parts.items()}


def _ratio(slower_s: Sequence[float], faster_s: Sequence[float]) -> float:
    return median(one / other for one, other in zip(slower_s, faster_s, strict=True))
