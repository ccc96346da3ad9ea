"""Speed of the labelling engine, `generate` of transformers, CTranslate2 and faster-whisper.

    python -m benchmarks.label [--json] [--windows 96] [--rounds 5]
    python -m benchmarks.label --teacher FOLDER --audio TABLE.jsonl --windows 48 --rounds 3
    python -m benchmarks.label --geometry large-v2 --random-weights --dtype bfloat16 --device cuda
    python -m benchmarks.label --mlperf --geometry large-v3 --random-weights --device cuda
    python -m benchmarks.label --memory stub

All contenders label the same shard with the same weights, alternating; figures are medians over
rounds. "End to end" is from the Parquet file to committed labels, "in memory" from audio to text,
and "decoder" the latter without the encoder, which is timed by itself. All read, pack and commit
as the pipeline does. Temperature fallback is off. WER is over the packed windows, with Whisper's
normaliser.

`floor_fraction` is a lower bound over the engine's time end to end. With `--teacher` the bound is
the encoder alone, features not included, at the first precision on all cores, in the fastest of its
implementations; otherwise the bare matrix products of encoder and decoder. `best_vs_...` compares
each engine at its fastest precision whose WER is at most 0.1 points above that at the first.

`--mlperf` has the shape of MLPerf Inference v5.1's Whisper; see `benchmarks.label.mlperf`.

Uses neither Prefect nor the network.
"""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.label import mlperf
from benchmarks.label.figures import value
from benchmarks.label.memory import peaks_mb
from benchmarks.label.random_weights import GEOMETRIES
from benchmarks.label.rounds import measure

_MEMORY_COUNTS = (1_000, 10_000)
_DTYPES = ("float32", "bfloat16", "float16")


def _table(found: dict[str, Any]) -> str:
    figures = found["figures"]
    lines = [
        f"{found['teacher']} on {found['device']}, {figures['audio_s']:,.0f} s of speech,"
        f" median of {found['rounds']}",
        f"{'':<24}{'precision':<14}{'windows':>8}{'tokens':>8}{'WER %':>8}{'end to end s':>14}"
        f"{'RTFx':>8}{'in memory s':>13}{'decoder s':>11}",
    ]
    lines += [
        f"{row['title']:<24}{row['dtype']:<14}{row['windows']:>8,}{row['tokens']:>8,}"
        f"{_shown(row['wer_percent']):>8}{row['end_to_end_s']:>14.2f}{row['rtfx']:>8.1f}"
        f"{_shown(row['in_memory_s']):>13}{_shown(row['decoder_s']):>11}"
        for row in found["rows"]
    ]
    lines += [f"{name}: skipped: {why}" for name, why in found["skipped"].items()]
    lines.append(
        f"the encoder alone ({figures['encoder']}) takes {figures['encoder_s']:.2f} s, which limits"
        f" any engine to RTFx {figures['ceiling_rtfx']:,.1f}"
    )
    lines += [f"{name} {ratio:.2f}" for name, ratio in found["ratios"].items()]
    if "shares" in figures:
        shares = ", ".join(f"{part} {share:.0%}" for part, share in figures["shares"].items())
        lines.append(f"of the engine's time: {shares}")
    draft = ", ".join(
        f"{name} {figure:.2f}" if isinstance(figure, float) else f"{name} {figure}"
        for name, figure in found["draft"].items()
        if figure is not None
    )
    return "\n".join([*lines, f"draft: {draft}"] if draft else lines) + "\n"


def _shown(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.2f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.label",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--geometry", choices=["demo", *GEOMETRIES], default="demo")
    parser.add_argument("--random-weights", action="store_true", help="required for all but demo")
    parser.add_argument("--teacher", type=Path, help="folder of a Whisper in Hugging Face format")
    parser.add_argument(
        "--audio", type=Path, help="a JSON Lines table, or LibriSpeech as an archive or a folder"
    )
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument(
        "--dtype",
        dest="dtypes",
        type=lambda text: text.split(","),
        help="comma-separated precisions, the first to compare at; default float32, with --teacher"
        " float32,bfloat16; with --mlperf on a GPU float16",
    )
    parser.add_argument(
        "--windows", type=int, default=96, help="approximate number of packed windows"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, help="of the engine; default 64, on a GPU 512")
    parser.add_argument("--draft", help="folder of a student of the teacher")
    parser.add_argument(
        "--agreement", type=float, default=0.8, help="approximate agreement of a random draft"
    )
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        help="comma-separated contenders, such as engine,ctranslate2.int8",
    )
    parser.add_argument(
        "--in-memory",
        action=argparse.BooleanOptionalAction,
        help="measure also from audio in memory; default without --teacher",
    )
    parser.add_argument(
        "--memory", choices=["stub", "engine"], help="measure peak memory instead of speed"
    )
    parser.add_argument(
        "--mlperf", action="store_true", help="shaped like MLPerf Inference's Whisper"
    )
    parser.add_argument("--json", action="store_true")
    return _completed(parser, parser.parse_args())


def _completed(parser: argparse.ArgumentParser, options: argparse.Namespace) -> argparse.Namespace:
    """Defaults that depend on other options; exits for options that do not go together."""
    if (options.geometry != "demo") != options.random_weights:
        parser.error("only the geometry demo has weights; use --random-weights for others")
    is_real = options.teacher is not None
    if is_real != (options.audio is not None):
        parser.error("--teacher and --audio belong together")
    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.dtypes is None:
        several = ["float32", "bfloat16"] if is_real else ["float32"]
        options.dtypes = ["float16"] if options.mlperf and options.device == "cuda" else several
    if unknown := set(options.dtypes) - set(_DTYPES):
        parser.error(f"--dtype {', '.join(sorted(unknown))}: expected some of {', '.join(_DTYPES)}")
    if options.random_weights and len(options.dtypes) > 1:
        parser.error("random weights have one precision")
    options.unpacked = not is_real and not options.mlperf
    options.in_memory = not is_real if options.in_memory is None else options.in_memory
    options.in_memory |= options.mlperf
    if options.mlperf:
        options.only = options.only or ["engine"]
    options.batch_size = options.batch_size or (64 if options.device == "cpu" else 512)
    return options


def _write_memory(options: argparse.Namespace) -> None:
    peaks = peaks_mb(_MEMORY_COUNTS, options.memory)
    few, many = peaks.values()
    if options.json:
        found = {"ratios": {"peak_memory": many / few}, "peaks_mb": peaks, "engine": options.memory}
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
        return
    shown = ", ".join(f"{peak:.0f} MB with {number:,}" for number, peak in peaks.items())
    sys.stdout.write(f"peak memory ({options.memory}): {shown} windows\n")


def main() -> None:
    """Measure and print."""
    options = _options()
    if options.memory is not None:
        _write_memory(options)
        return
    with TemporaryDirectory() as folder:
        found = value(options, measure(options, Path(folder)))
    if options.mlperf:
        found["mlperf"] = mlperf.rates(found)
    if options.json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    else:
        sys.stdout.write(mlperf.table(found) if options.mlperf else _table(found))


if __name__ == "__main__":
    main()
