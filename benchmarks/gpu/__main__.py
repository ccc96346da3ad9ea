"""Check what a GPU computes, and how fast, in under five minutes.

    python -m benchmarks.gpu [--json] [--teacher FOLDER] [--audio FOLDER]
    python -m benchmarks.gpu --only graphs,tokens
    python -m benchmarks.gpu --benchmark "--geometry tiny --random-weights --device cuda"

graphs    steps replayed as CUDA graphs give the tokens of steps run one operation at a time
tokens    the engine gives the tokens of `generate` of transformers, in float32 and bfloat16
memory    with too little memory the batch is halved and the tokens stay the same
training  loss and gradient of a training step are those of the CPU; a checkpoint resumes
benchmark python -m benchmarks.label, at the geometry of large-v2 in bfloat16

Each check runs in a process of its own, since an error on a GPU makes its process useless. Ends
with status 1 if a check fails, 2 if there is no GPU. `--device cpu` runs the checks without one,
which tests this program and nothing else. Needs no network.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.gpu.check import DEMO, Check, Setup
from benchmarks.gpu.graphs import check_graphs
from benchmarks.gpu.memory import check_memory
from benchmarks.gpu.report import Report, run_all
from benchmarks.gpu.tokens import check_tokens
from benchmarks.gpu.training import check_training

CHECKS: dict[str, Check] = {
    "graphs": check_graphs,
    "tokens": check_tokens,
    "memory": check_memory,
    "training": check_training,
}
BENCHMARK = "benchmark"
_BENCHMARK_OPTIONS = {
    "cuda": "--geometry large-v2 --random-weights --dtype bfloat16 --device cuda"
    " --windows 64 --rounds 1 --only generate_packed,engine",
    "cpu": "--device cpu --windows 8 --rounds 1 --only generate_packed,engine",
}


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--teacher", default=DEMO, help="a Whisper in Hugging Face format")
    parser.add_argument("--audio", type=Path, help="a folder of audio files; default: synthetic")
    parser.add_argument("--windows", type=int, default=128, help="number of windows to transcribe")
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=[*CHECKS, BENCHMARK],
        help="comma-separated checks",
    )
    parser.add_argument("--benchmark", help="options of benchmarks.label instead of the default")
    parser.add_argument("--seconds", type=float, default=290, help="time for everything")
    parser.add_argument("--json", action="store_true")
    # how a check is run in a process of its own
    parser.add_argument("--in-process", choices=[*CHECKS], help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if unknown := set(options.only) - {*CHECKS, BENCHMARK}:
        parser.error(
            f"--only {', '.join(sorted(unknown))}: expected some of {[*CHECKS, BENCHMARK]}"
        )
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the checks and print; returns the exit status."""
    options = _options(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.stderr.write(
            f"torch {torch.__version__} finds no GPU: install its driver and a torch build for"
            " CUDA; `--device cpu` tests this program alone\n"
        )
        return 2
    if options.in_process:
        setup = Setup(
            device=torch.device(options.device, *([0] if options.device == "cuda" else [])),
            teacher=options.teacher,
            audio=options.audio,
            num_windows=options.windows,
        )
        sys.stdout.write(json.dumps(asdict(CHECKS[options.in_process](setup))) + "\n")
        return 0
    report = Report(device=_device_name(options.device), torch=torch.__version__)
    show = None if options.json else sys.stdout
    run_all(report, _commands(options), options.seconds, show)
    if options.json:
        sys.stdout.write(json.dumps(report.as_json(), indent=1) + "\n")
    return 0 if report.passed else 1


def _commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """The command of each check, by name."""
    passed_on = ["--device", options.device, "--teacher", options.teacher]
    passed_on += ["--windows", str(options.windows)]
    if options.audio is not None:
        passed_on += ["--audio", str(options.audio)]
    commands = {name: ["-m", "benchmarks.gpu", "--in-process", name, *passed_on] for name in CHECKS}
    benchmark = (options.benchmark or _BENCHMARK_OPTIONS[options.device]).split()
    commands[BENCHMARK] = ["-m", "benchmarks.label", "--json", *benchmark]
    return {name: commands[name] for name in options.only}


def _device_name(device: str) -> str:
    if device == "cpu":
        return "the CPU, which tests this program alone"
    properties = torch.cuda.get_device_properties(0)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"


if __name__ == "__main__":
    sys.exit(main())
