"""Normalising against its floor: the same decode, resample and encode calls in a bare loop.

    python -m benchmarks.normalise [--json]

On every core at once, prints hours of audio per core-second of the stage and of the floor,
alternating, and the median of the ratios of neighbouring rounds; then what memory a shard takes and
what one of four times as many utterances takes. The audio is noise shaped like speech levels, so no
corpus is needed. Without Prefect and without the network.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from configs.schema import Normalise
from storage.commit import Commit
from storage.receipt import Counts, FileRef, Receipt
from storage.shard import ShardKey
from storage.stage import Place, TableFormat
from storage.store import Store
from tasks.audio import decode, encode_flac, to_whisper_rate
from tasks.download.files import AudioPlace, Files
from tasks.download.members import index_table, position
from tasks.normalise.schema import NORMALISED
from tasks.normalise.shard import normalise_shard
from tasks.plan.schema import PLAN

_NUM_ROUNDS = 5
_NUM_UTTERANCES = 120
_DURATION_S = 8.0
_SOURCE = "source.bin"
_KINDS = {
    "FLAC 16 kHz": (16_000, "PCM_16", "FLAC"),
    "WAV 16 kHz": (16_000, "PCM_16", "WAV"),
    "mu-law 8 kHz": (8_000, "ULAW", "WAV"),
    "WAV 44.1 kHz": (44_100, "PCM_16", "WAV"),
    "MP3 32 kHz": (32_000, "MPEG_LAYER_III", "MP3"),
    "Opus 16 kHz": (16_000, "OPUS", "OGG"),
    "Vorbis 16 kHz": (16_000, "VORBIS", "OGG"),
}


@dataclass(frozen=True)
class Sources:
    """Encoded utterances, one after the other in a file of `folder`."""

    folder: Path
    sizes: tuple[int, ...]
    receipt: Receipt

    def places(self) -> list[AudioPlace]:
        """Where each utterance lies."""
        starts = np.cumsum([0, *self.sizes[:-1]]).tolist()
        return [AudioPlace(_SOURCE, *at) for at in zip(starts, self.sizes, strict=True)]


def recording(seed: int, rate_hz: int, subtype: str, container: str) -> bytes:
    """A file of noise whose level goes up and down as that of speech does."""
    random = np.random.default_rng(seed)
    times_s = np.arange(int(_DURATION_S * rate_hz)) / rate_hz
    samples = random.standard_normal(len(times_s)) * 0.1 * (1 + np.sin(2 * np.pi * 3 * times_s))
    buffer = BytesIO()
    soundfile.write(buffer, samples, rate_hz, subtype=subtype, format=container)
    return buffer.getvalue()


def write_sources(folder: Path, kind: str, num_utterances: int) -> Sources:
    """Make the utterances of a kind; few different ones, for making them takes longer than use."""
    made = [recording(seed, *_KINDS[kind]) for seed in range(12)]
    chosen = [made[number % len(made)] for number in range(num_utterances)]
    with (folder / _SOURCE).open("wb") as file:
        for data in chosen:
            file.write(data)
    return Sources(folder, tuple(map(len, chosen)), stored(Store(str(folder)), chosen))


def stored(store: Store, members: list[bytes]) -> Receipt:
    """The receipt of a stored file of these members, with their digests in its index."""
    starts = np.cumsum([0, *map(len, members)]).tolist()
    index = {
        str(number): position("", starts[number], len(data), [data])
        for number, data in enumerate(members)
    }
    with store.sink("raw") as sink:
        pq.write_table(index_table(index), sink)
        kept = store.keep(sink, "raw/index.parquet")
    return Receipt(
        stage="download",
        fingerprint="bench",
        key=ShardKey("bench", "archives", 0),
        source_digest=kept.sha256,
        output=FileRef(path=_SOURCE, sha256=kept.sha256, size_bytes=starts[-1]),
        beside=(kept,),
        counts=Counts(rows_in=1, rows_out=1),
    )


def plan_of(sources: Sources) -> pa.Table:
    """A plan of one segment an utterance."""
    rows = [
        {
            "shard": 0, "id": str(number), "recording_id": str(number), "speaker_id": None,
            **place._asdict(), "channel": 0, "start_s": 0.0, "end_s": None, "pieces_s": None,
            "raw_text": "",
        }
        for number, place in enumerate(sources.places())
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=PLAN)


def stage(sources: Sources) -> None:
    """What the pipeline does with a shard, the commit included."""
    store, key = Store(str(sources.folder)), ShardKey("bench", "train", 0)
    segments, files = plan_of(sources), Files(store, None, [sources.receipt])
    commit = Commit(
        store=store,
        table=TableFormat(schema=NORMALISED),
        place=Place(stage="normalise", fingerprint="bench", key=key),
        sources=(os.urandom(32).hex(),),
        ids_in=segments.column("id").to_pylist(),
        max_quarantined_percent=0,
    )
    commit(normalise_shard(segments, files.audio, key, Normalise()))


def floor(sources: Sources) -> None:
    """The calls that cannot be left out, and nothing else: the bytes are written, not kept."""
    encoded = []
    with (sources.folder / _SOURCE).open("rb") as file:
        for size in sources.sizes:
            data = file.read(size)
            audio = decode(data)
            is_kept = data.startswith(b"fLaC") and audio.rate_hz == 16_000
            encoded.append(data if is_kept else encode_flac(to_whisper_rate(audio)))
    table = pa.table({"audio": encoded})
    pq.write_table(table, sources.folder / "floor.parquet", compression="zstd")


def measured(core: int) -> list[dict[str, Any]]:
    """A row for each kind of source, on one core."""
    os.sched_setaffinity(0, {core})
    hours = _NUM_UTTERANCES * _DURATION_S / 3600
    rows = []
    for kind in _KINDS:
        with tempfile.TemporaryDirectory() as folder:
            sources = write_sources(Path(folder), kind, _NUM_UTTERANCES)
            floor(sources)
            pairs = [
                (_seconds(stage, sources), _seconds(floor, sources)) for _ in range(_NUM_ROUNDS)
            ]
        rows.append(
            {
                "source": kind,
                "core": core,
                "hours_per_core_second": hours / median(made for made, _ in pairs),
                "floor_hours_per_core_second": hours / median(bare for _, bare in pairs),
                "floor_fraction": median(bare / made for made, bare in pairs),
            }
        )
    return rows


def peak_mb(num_utterances: int) -> float:
    """The peak memory of a process that normalises one shard of that many utterances."""
    with tempfile.TemporaryDirectory() as folder:
        stage(write_sources(Path(folder), "FLAC 16 kHz", num_utterances))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _seconds(work: Callable[[Sources], None], sources: Sources) -> float:
    started_s = process_time()
    work(sources)
    return process_time() - started_s


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    cores = sorted(os.sched_getaffinity(0))
    fresh = get_context("spawn")  # so that no process inherits the memory of another
    with ProcessPoolExecutor(len(cores), mp_context=fresh) as pool:
        rows = [row for of_core in pool.map(measured, cores) for row in of_core]
    peaks = {}
    for num_utterances in (_NUM_UTTERANCES * 8, _NUM_UTTERANCES * 32):
        with ProcessPoolExecutor(1, mp_context=fresh) as pool:
            peaks[num_utterances] = pool.submit(peak_mb, num_utterances).result()
    few, many = peaks.values()
    worst = min(row["floor_fraction"] for row in rows)
    if as_json:
        figures = {f"peak_mb_{num_utterances}": peak for num_utterances, peak in peaks.items()}
        value = {"ratios": {"floor_fraction": worst, "peak_memory": many / few}, "figures": figures}
        sys.stdout.write(json.dumps({**value, "rows": rows}, indent=1) + "\n")
        return
    for row in rows:
        sys.stdout.write(
            f"{row['source']:<14} core {row['core']:>2}  {row['hours_per_core_second']:.3f} h per"
            f" core-second, floor {row['floor_hours_per_core_second']:.3f}, fraction"
            f" {row['floor_fraction']:.2f}\n"
        )
    told = ", ".join(f"{peak:.0f} MB with {number:,}" for number, peak in peaks.items())
    sys.stdout.write(f"worst fraction {worst:.2f}; peak memory {told} utterances\n")


if __name__ == "__main__":
    main()
