"""Speed of the labelling engine, `generate` of transformers, and CTranslate2.

    python -m benchmarks.label [--json] [--windows 96] [--rounds 5]
    python -m benchmarks.label --geometry large-v2 --random-weights --dtype bfloat16 --device cuda
    python -m benchmarks.label --memory stub

All contenders label the same shard with the same weights, alternating; figures are medians over
rounds. Row (a) has one utterance per window, longest first; the others pack them. "End to end" is
from the Parquet file to committed labels, "in memory" from audio to text, and "decoder" the latter
without the encoder, which is timed by itself. Temperature fallback is off, because `generate` has
none. Uses neither Prefect nor the network.
"""

import argparse
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.label_compare import WINDOWS_S, measure
from benchmarks.label_memory import peaks_mb

_MEMORY_COUNTS = (1_000, 10_000)


def _table(value: dict[str, Any]) -> str:
    lines = [
        f"{value['geometry']}, {value['dtype']} on {value['device']},"
        f" {value['figures']['audio_s']:,.0f} s of speech, median of {value['rounds']}",
        f"{'':<26}{'windows':>8}{'tokens':>9}{'end to end s':>14}{'RTFx':>9}"
        f"{'in memory s':>13}{'decoder s':>11}",
    ]
    lines += [
        f"{row['title']:<26}{row['windows']:>8,}{row['tokens']:>9,}{row['end_to_end_s']:>14.2f}"
        f"{row['rtfx']:>9.1f}{row['in_memory_s']:>13.2f}{row['decoder_s']:>11.2f}"
        for row in value["rows"]
    ]
    figures = value["figures"]
    lines += [f"{name}: {why}" for name, why in value["skipped"].items()]
    lines.append(
        f"the encoder alone takes {figures['encoder_s']:.2f} s on packed windows, which limits"
        f" any engine to RTFx {figures['ceiling_rtfx']:,.1f}"
    )
    lines += [f"{name} {ratio:.2f}" for name, ratio in value["ratios"].items()]
    if "shares" in figures:
        shares = ", ".join(f"{part} {share:.0%}" for part, share in figures["shares"].items())
        lines.append(f"of the engine's time: {shares}")
    draft = ", ".join(
        f"{name} {figure:.2f}" if isinstance(figure, float) else f"{name} {figure}"
        for name, figure in value["draft"].items()
    )
    lines.append(f"draft: {draft}")
    return "\n".join(lines) + "\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--geometry", choices=sorted(WINDOWS_S), default="demo")
    parser.add_argument("--random-weights", action="store_true", help="required for all but demo")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument(
        "--windows", type=int, default=96, help="approximate number of packed windows"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, help="of the engine; default 64, on a GPU 512")
    parser.add_argument("--draft", help="folder of a student of the demo teacher")
    parser.add_argument(
        "--agreement", type=float, default=0.8, help="approximate agreement of a random draft"
    )
    parser.add_argument(
        "--only", type=lambda text: text.split(","), help="comma-separated keys of contenders"
    )
    parser.add_argument(
        "--memory", choices=["stub", "engine"], help="measure peak memory instead of speed"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if (options.geometry != "demo") != options.random_weights:
        parser.error("only the geometry demo has weights; use --random-weights for others")
    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    options.batch_size = options.batch_size or (64 if options.device == "cpu" else 512)
    return options


def main() -> None:
    """Measure and print."""
    options = _options()
    if options.memory is not None:
        peaks = peaks_mb(_MEMORY_COUNTS, options.memory)
        few, many = peaks.values()
        if options.json:
            value = {
                "ratios": {"peak_memory": many / few},
                "peaks_mb": peaks,
                "engine": options.memory,
            }
            sys.stdout.write(json.dumps(value, indent=1) + "\n")
            return
        figures = ", ".join(f"{peak:.0f} MB with {number:,}" for number, peak in peaks.items())
        sys.stdout.write(f"peak memory ({options.memory}): {figures} windows\n")
        return
    with TemporaryDirectory() as folder:
        value = measure(options, Path(folder))
    sys.stdout.write(json.dumps(value, indent=1) + "\n" if options.json else _table(value))


if __name__ == "__main__":
    main()
