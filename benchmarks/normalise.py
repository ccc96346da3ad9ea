"""Normalising against its floor: the same decode, resample and encode calls in a bare loop.

    python -m benchmarks.normalise [--json]

Prints hours of audio per core-second of the stage and of the floor, alternating, and the median of
the ratios of neighbouring rounds; the audio is noise shaped like speech levels, so no corpus is
needed. Runs on one core, without Prefect and without the network.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from configs.schema import Normalise
from storage.commit import Commit
from storage.schema import NORMALISED, PLAN
from storage.shard import ShardKey
from storage.stage import Place, StageSpec
from storage.store import Store
from tasks.audio import decode, encode_flac, to_whisper_rate
from tasks.normalise.shard import normalise_shard

_NUM_ROUNDS = 5
_NUM_UTTERANCES = 120
_DURATION_S = 8.0


def recording(seed: int, rate_hz: int, subtype: str, container: str) -> bytes:
    """A file of noise whose level goes up and down as that of speech does."""
    random = np.random.default_rng(seed)
    times_s = np.arange(int(_DURATION_S * rate_hz)) / rate_hz
    samples = random.standard_normal(len(times_s)) * 0.1 * (1 + np.sin(2 * np.pi * 3 * times_s))
    buffer = BytesIO()
    soundfile.write(buffer, samples, rate_hz, subtype=subtype, format=container)
    return buffer.getvalue()


def plan_of(files: dict[str, bytes]) -> pa.Table:
    """A plan of one segment a file."""
    rows = [
        {
            "shard": 0, "id": name, "recording_id": name, "speaker_id": name, "file": name,
            "offset": 0, "size": len(data), "channel": 0, "start_s": 0.0, "end_s": None,
            "raw_text": "",
        }
        for name, data in files.items()
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=PLAN)


def stage(files: dict[str, bytes], folder: Path) -> None:
    """What the pipeline does with a shard, the commit included."""
    key = ShardKey("bench", "train", 0)
    segments = plan_of(files)
    commit = Commit(
        store=Store(str(folder)),
        spec=StageSpec(name="normalise", version=1, schema=NORMALISED),
        place=Place(stage="normalise", fingerprint="bench", key=key),
        sources=(os.urandom(32).hex(),),
        ids_in=segments.column("id").to_pylist(),
        max_quarantined_percent=0,
    )
    commit(normalise_shard(segments, lambda name, _, __: files[name], key, Normalise()))


def floor(files: dict[str, bytes], folder: Path) -> None:
    """The calls that cannot be left out, and nothing else: the bytes are written, not kept."""
    encoded = [_made(data) for data in files.values()]
    pq.write_table(pa.table({"audio": encoded}), folder / "floor.parquet", compression="zstd")


def _made(data: bytes) -> bytes:
    audio = decode(data)
    is_kept = data.startswith(b"fLaC") and audio.rate_hz == 16_000
    return data if is_kept else encode_flac(to_whisper_rate(audio))


def measured() -> Iterator[dict[str, float | str]]:
    """A row for each kind of source."""
    kinds = [
        ("FLAC 16 kHz", 16_000, "PCM_16", "FLAC"),
        ("WAV 16 kHz", 16_000, "PCM_16", "WAV"),
        ("mu-law 8 kHz", 8_000, "ULAW", "WAV"),
        ("WAV 44.1 kHz", 44_100, "PCM_16", "WAV"),
    ]
    for name, rate_hz, subtype, container in kinds:
        files = {
            str(seed): recording(seed, rate_hz, subtype, container)
            for seed in range(_NUM_UTTERANCES)
        }
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            floor(files, folder)
            pairs = [
                (_seconds(stage, files, folder), _seconds(floor, files, folder))
                for _ in range(_NUM_ROUNDS)
            ]
        hours = _NUM_UTTERANCES * _DURATION_S / 3600
        yield {
            "source": name,
            "hours_per_core_second": hours / median(made for made, _ in pairs),
            "floor_hours_per_core_second": hours / median(bare for _, bare in pairs),
            "floor_fraction": median(bare / made for made, bare in pairs),
        }


def _seconds(
    work: Callable[[dict[str, bytes], Path], None], files: dict[str, bytes], folder: Path
) -> float:
    started_s = process_time()
    work(files, folder)
    return process_time() - started_s


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    rows = list(measured())
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if as_json:
        worst = min(float(row["floor_fraction"]) for row in rows)
        value = {"ratios": {"floor_fraction": worst}, "figures": {"peak_mb": peak_mb}, "rows": rows}
        sys.stdout.write(json.dumps(value, indent=1) + "\n")
        return
    for row in rows:
        sys.stdout.write(
            f"{row['source']:<14} {row['hours_per_core_second']:.3f} h per core-second,"
            f" floor {row['floor_hours_per_core_second']:.3f}, fraction"
            f" {row['floor_fraction']:.2f}\n"
        )
    sys.stdout.write(f"peak memory {peak_mb:.0f} MB\n")


if __name__ == "__main__":
    main()
