"""Normalised shards in which each speaker is a pure tone of a frequency of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.receipt import FileRef
from storage.sink import hash_file
from storage.store import Store
from tasks.audio import SAMPLE_RATE_HZ, Samples, encode_flac
from tasks.normalise.schema import NORMALISED
from tests.builders import sine

STEP_HZ = 100


def tone_row(id: str, tone: int, **changes: object) -> dict[str, Any]:
    """A second of the tone with this number; the louder, the higher its number."""
    samples = sine(1.0, frequency_hz=STEP_HZ * tone, peak=0.01 * tone)
    return {
        "id": id,
        "corpus": "tones",
        "split": "test",
        "recording_id": f"tape{tone}",
        "speaker_id": f"speaker{tone}",
        "start_s": 0.0,
        "duration_s": 1.0,
        "audio": {"bytes": encode_flac(samples), "path": f"{id}.flac"},
        "raw_text": "TONE",
        **changes,
    }


def tones_in(noise: Samples) -> dict[int, float]:
    """The power of each tone in a second of noise, by number."""
    assert len(noise) == SAMPLE_RATE_HZ
    spectrum = 2 * (np.abs(np.fft.rfft(noise)) / len(noise)) ** 2
    found = np.flatnonzero(spectrum > 0.01)
    assert not (found % STEP_HZ).any()
    return {int(one) // STEP_HZ: float(spectrum[one]) for one in found}


def shard(
    store: Store, name: str, rows: Sequence[dict[str, Any]], *, per_group: int = 3
) -> FileRef:
    """A stored shard with these rows."""
    table = pa.Table.from_pylist(list(rows), schema=NORMALISED)
    path = Path(store.scratch_folder()) / name
    pq.write_table(table, path, row_group_size=per_group)
    store.put_if_absent(name, path.read_bytes())
    return FileRef(path=name, sha256=hash_file(path), size_bytes=path.stat().st_size)
