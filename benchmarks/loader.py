"""Reading a manifest against `datasets`, which streams the same examples from exported Parquet.

    python -m benchmarks.loader [--json]

Decoded examples per second and seconds to the first example, alternating, and the median of the
ratios of neighbouring rounds: in one process, and behind a `DataLoader` with two workers.
`datasets` shuffles with a buffer of the same size, and its bytes are decoded by soundfile; in more
rounds by our decoder, which tells what the rest of the reader is worth. Our decoder alone, on as
many threads as the reader has, is the floor. A stream that is stopped and goes on must equal one
that is not. The audio is noise shaped like speech levels; nothing is fetched.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from torch.utils.data import DataLoader, IterableDataset

from benchmarks.noise_manifest import NUM_VOICES, flac, write_manifest
from storage.store import Store
from tasks.audio import SAMPLE_RATE_HZ, Samples, decode_flac
from tasks.normalise.schema import AUDIO
from tasks.read_ahead import read_ahead
from tasks.reading.examples import Example
from tasks.reading.join import read_entry
from tasks.reading.sample import Sample
from tasks.reading.stream import ManifestStream, open_manifest

_NUM_ROUNDS = 5
_NUM_SHARDS = 8
_WINDOWS_PER_SHARD = 48
_NUM_EXAMPLES = _NUM_SHARDS * _WINDOWS_PER_SHARD
_DURATION_S = 20.0
_NUM_BUFFERED = 128
_NUM_THREADS = 2
_NUM_WORKERS = 2
_EXPORTED = pa.schema(
    [
        pa.field("window_id", pa.string()),
        pa.field("corpus", pa.string()),
        pa.field("audio", AUDIO),
        pa.field("text", pa.string()),
        pa.field("tokens", pa.list_(pa.int64())),
        pa.field("previous_text", pa.string()),
    ]
)


@dataclass(frozen=True)
class Speed:
    """Of one pass over all examples."""

    examples_per_s: float
    first_s: float


def by_soundfile(data: bytes) -> Samples:
    """How one reads a FLAC file in Python."""
    samples: Samples
    samples, rate_hz = soundfile.read(BytesIO(data), dtype="float32")
    assert rate_hz == SAMPLE_RATE_HZ
    return samples


class Rows(IterableDataset[dict[str, Any]]):
    """A streamed data set of the Hub's library with its bytes decoded."""

    def __init__(self, folder: Path, decoded: Callable[[bytes], Samples] = by_soundfile) -> None:
        self.folder, self.decoded = folder, decoded

    def __iter__(self) -> Iterator[dict[str, Any]]:
        from datasets import config, load_dataset

        # five seconds by default, once an epoch: nothing in one of hours, most of this one
        config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0
        files = sorted(map(str, self.folder.glob("*.parquet")))
        rows = load_dataset(
            "parquet",
            data_files=files,
            split="train",
            streaming=True,
            cache_dir=str(self.folder / "cache"),
        )
        for row in rows.shuffle(seed=0, buffer_size=_NUM_BUFFERED):
            yield {**row, "samples": self.decoded(row.pop("audio")["bytes"])}


def export(store: Store, stream: ManifestStream, folder: Path) -> None:
    """Write the examples of a manifest as plain Parquet, a file a shard."""
    for number, entry in enumerate(stream.entries):
        with (
            store.fetch(entry.files["normalise"]) as audio,
            store.fetch(entry.files["label"]) as label,
            store.fetch(entry.files["filter"]) as kept,
        ):
            rows = [_exported(example) for example in read_entry(audio, label, kept)]
        table = pa.Table.from_pylist(rows, schema=_EXPORTED)
        pq.write_table(table, folder / f"{number:05d}.parquet", row_group_size=24)


def _exported(example: Example) -> dict[str, Any]:
    [clip] = example.clips
    return {
        "window_id": example.window_id,
        "corpus": "noise",
        "audio": {"bytes": clip.flac, "path": None},
        "text": example.text,
        "tokens": list(example.tokens),
        "previous_text": example.previous_text,
    }


def passed(make: Callable[[], Iterable[Any]]) -> Speed:
    """Open, and see every example once: timed from the opening to the last of them."""
    started_s = perf_counter()
    seen_s = [perf_counter() - started_s for _ in make()]
    assert len(seen_s) == _NUM_EXAMPLES, f"{len(seen_s)} examples, expected {_NUM_EXAMPLES}"
    return Speed(len(seen_s) / seen_s[-1], seen_s[0])


def compared(
    ours: Callable[[], Iterable[Any]], theirs: Callable[[], Iterable[Any]]
) -> list[tuple[Speed, Speed]]:
    """Rounds of both, after one that counts for nothing."""
    passed(ours), passed(theirs)
    return [(passed(ours), passed(theirs)) for _ in range(_NUM_ROUNDS)]


def decoding_alone() -> Speed:
    """The floor of one process: as many utterances in memory, decoded on the stream's threads."""
    flacs = [flac(number % NUM_VOICES, _DURATION_S) for number in range(_NUM_EXAMPLES)]
    return passed(
        lambda: read_ahead(iter(flacs), decode_flac, num_threads=_NUM_THREADS, num_ahead=16)
    )


def behind_workers(data: IterableDataset[Any]) -> Iterable[Any]:
    """A `DataLoader` that passes example by example."""
    return DataLoader(data, batch_size=None, num_workers=_NUM_WORKERS)


def resumes(root: str) -> bool:
    """Whether a stream stopped in its second epoch goes on as if it had not been."""
    stream = open_manifest(root, "noise", num_buffered=_NUM_BUFFERED)
    whole = _seen(islice(stream, 1000))
    stopped = open_manifest(root, "noise", num_buffered=_NUM_BUFFERED)
    iterator = iter(stopped)
    seen = _seen(islice(iterator, 500))
    state = json.loads(json.dumps(stopped.state_dict()))
    again = open_manifest(root, "noise", num_buffered=_NUM_BUFFERED)
    again.load_state_dict(state)
    return whole == seen + _seen(islice(again, 500))


def _seen(samples: Iterable[Sample]) -> list[tuple[str, bytes]]:
    return [(sample.window_id, sample.samples[:400].tobytes()) for sample in samples]


def measured() -> dict[str, Any]:
    """Ratios, figures and rows."""
    with tempfile.TemporaryDirectory() as temporary:
        root, exported = f"{temporary}/root", Path(temporary, "exported")
        exported.mkdir()
        store = Store(root)
        sizes = {"noise": [_WINDOWS_PER_SHARD] * _NUM_SHARDS}
        write_manifest(store, "noise", sizes, duration_s=_DURATION_S)
        export(store, open_manifest(root, "noise"), exported)

        def stream(num_threads: int = _NUM_THREADS) -> ManifestStream:
            return open_manifest(
                root, "noise", num_epochs=1, num_buffered=_NUM_BUFFERED, num_threads=num_threads
            )

        kinds = {
            "one process": compared(stream, lambda: Rows(exported)),
            "our decoder": compared(stream, lambda: Rows(exported, decode_flac)),
            "two workers": compared(
                lambda: behind_workers(stream(1)), lambda: behind_workers(Rows(exported))
            ),
        }
        floor_per_s = median(decoding_alone().examples_per_s for _ in range(_NUM_ROUNDS))
        is_equal = resumes(root)
    ratios = {
        kind: median(own.examples_per_s / other.examples_per_s for own, other in rounds)
        for kind, rounds in kinds.items()
    }
    alone = kinds["one process"]
    examples_per_s = median(own.examples_per_s for own, _ in alone)
    return {
        "ratios": {
            "loader_vs_datasets": ratios["one process"],
            "loader_vs_datasets_with_our_decoder": ratios["our decoder"],
            "loader_vs_datasets_two_workers": ratios["two workers"],
            "first_example_vs_datasets": median(
                other.first_s / own.first_s for own, other in alone
            ),
            "floor_fraction": examples_per_s / floor_per_s,
        },
        "figures": {
            "examples_per_s": examples_per_s,
            "floor_per_s": floor_per_s,
            "audio_s_per_s": _DURATION_S * examples_per_s,
            "first_example_s": median(own.first_s for own, _ in alone),
            "datasets_examples_per_s": median(other.examples_per_s for _, other in alone),
            "datasets_first_example_s": median(other.first_s for _, other in alone),
            "resume_is_equal": is_equal,
        },
        "rows": [
            {"kind": kind, "loader": asdict(own), "datasets": asdict(other)}
            for kind, rounds in kinds.items()
            for own, other in rounds
        ],
    }


def main() -> None:
    """Measure and print; exit status 1 where a resumed stream is not equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    os.environ["HF_HUB_OFFLINE"] = "1"  # before `datasets` is imported, which reads it
    found = measured()
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    else:
        for row in found["rows"]:
            sys.stdout.write(
                f"{row['kind']:<12} {row['loader']['examples_per_s']:7.1f} examples/s, first after"
                f" {row['loader']['first_s']:.2f} s; datasets"
                f" {row['datasets']['examples_per_s']:7.1f}, {row['datasets']['first_s']:.2f} s\n"
            )
        for name, value in {**found["ratios"], **found["figures"]}.items():
            sys.stdout.write(f"{name}: {value:.3g}\n")
    sys.exit(0 if found["figures"]["resume_is_equal"] else 1)


if __name__ == "__main__":
    main()
