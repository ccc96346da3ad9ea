"""Reading SPHERE files, in samples a second, against the calls that cannot be left out.

`python -m benchmarks.sphere [--json]`. Calls of ten minutes, 8 kHz, two channels, of noise whose
level goes up and down as that of speech does, so no corpus is needed. The floor of a plain file is
one read by libsndfile; that of a shortened one is its decoder in this process, so the rest is the
price of the process with limits that it runs in. The decoder of shortened mu-law also exists in
pure Python; it is measured on a shorter call. Times are those of the processor, of child processes
too, on one core; the last column extrapolates to all of Fisher, 1.13e11 samples.
"""

import argparse
import json
import resource
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from statistics import median

import numpy as np
import soundfile
from desphere import shorten
from desphere_native import shorten_to_pcm

from tasks.audio import decode
from tasks.audio.ffmpeg import decode_with_ffmpeg
from tasks.demo.formats.sphere import HEADER_BYTES, sphere_file

_NUM_ROUNDS = 3
_DURATION_S = 600
_PURE_DURATION_S = 20
_FISHER_SAMPLES = 1.13e11


def call(coding: str, duration_s: int) -> bytes:
    """A telephone call of two channels."""
    random = np.random.default_rng(0)
    times_s = np.arange(duration_s * 8_000)[:, None] / 8_000
    white = random.standard_normal((len(times_s) + 3, 2))
    coloured = white[:-3] + 1.5 * white[1:-2] + 1.5 * white[2:-1] + white[3:]
    level = 30 + 1_500 * np.clip(np.sin(2 * np.pi * times_s / np.array([5.0, 7.0])), 0, None)
    return sphere_file((coloured * level).clip(-32_768, 32_767).astype(np.int16), 8_000,
                       coding=coding)  # fmt: skip


def measured() -> Iterator[dict[str, float | str]]:
    """A row for each kind of file."""
    floors: dict[str, Callable[[bytes], object]] = {
        "pcm": lambda data: soundfile.read(BytesIO(data), dtype="int16"),
        "ulaw": lambda data: soundfile.read(BytesIO(data), dtype="int16"),
        "pcm,embedded-shorten-v2.00": lambda data: decode_with_ffmpeg(data, "benchmark"),
        "ulaw,embedded-shorten-v2.00": lambda data: shorten_to_pcm(data[HEADER_BYTES:]),
    }
    for coding, floor in floors.items():
        data = call(coding, _DURATION_S)
        num_samples = 2 * 8_000 * _DURATION_S
        made = num_samples / median(_seconds(decode, data) for _ in range(_NUM_ROUNDS))
        bare = num_samples / median(_seconds(floor, data) for _ in range(_NUM_ROUNDS))
        yield _row(coding, len(data) / num_samples, made, bare)
    coding = "ulaw,embedded-shorten-v2.00"
    data, num_samples = call(coding, _PURE_DURATION_S), 2 * 8_000 * _PURE_DURATION_S
    pure = num_samples / _seconds(lambda data: shorten.decode(data[HEADER_BYTES:]), data)
    yield _row(f"{coding}, pure Python", len(data) / num_samples, pure, pure)


def _row(name: str, size: float, made: float, bare: float) -> dict[str, float | str]:
    return {
        "coding": name,
        "bytes_per_sample": size,
        "msamples_per_core_second": made / 1e6,
        "floor_msamples_per_core_second": bare / 1e6,
        "floor_fraction": made / bare,
        "fisher_core_hours": _FISHER_SAMPLES / made / 3600,
    }


def _seconds(work: Callable[[bytes], object], data: bytes) -> float:
    started_s = _used_s()
    work(data)
    return _used_s() - started_s


def _used_s() -> float:
    """Processor time so far, of child processes that have ended too."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    rows = list(measured())
    if as_json:
        worst = min(float(row["floor_fraction"]) for row in rows)
        value = {"ratios": {"floor_fraction": worst}, "rows": rows}
        sys.stdout.write(json.dumps(value, indent=1) + "\n")
        return
    for row in rows:
        sys.stdout.write(
            f"{row['coding']:<40} {row['msamples_per_core_second']:8.1f} Msamples per core-second,"
            f" floor {row['floor_msamples_per_core_second']:8.1f}, fraction"
            f" {row['floor_fraction']:.2f}, Fisher {row['fisher_core_hours']:.2f} core-hours\n"
        )


if __name__ == "__main__":
    main()
