"""A small published manifest with real files: windows of one, two and three utterances."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import manifest
from storage.manifest import Content, Manifest, ManifestEntry, Terms, Totals
from storage.receipt import FileRef
from storage.shard import ShardKey
from storage.store import Store
from tasks.audio import encode_flac
from tasks.card import render_card
from tasks.filter.schema import KEPT
from tasks.label.schema import LABELS
from tasks.normalise.schema import NORMALISED
from tasks.score.schema import EVIDENCE

NUM_WINDOWS = 7  # in each shard; the last is not kept
GAP_SAMPLES = 160


def pcm(utterance: str) -> npt.NDArray[np.int16]:
    """The audio of an utterance; each has another length."""
    number = int(utterance.rpartition("u")[2])
    return np.random.default_rng(number).integers(-9000, 9000, 700 + number).astype(np.int16)


def members(shard: str, window: int) -> list[str]:
    """The utterances of a window."""
    return [f"{shard}/u{3 * window + place}" for place in range(1 + window % 3)]


def window_pcm(shard: str, window: int) -> npt.NDArray[np.int16]:
    """The audio of a window: its utterances with a gap between them."""
    gap = np.zeros(GAP_SAMPLES, np.int16)
    pieces = [piece for utterance in members(shard, window) for piece in (pcm(utterance), gap)]
    return np.concatenate(pieces[:-1])


def _offsets_s(shard: str, window: int) -> list[float]:
    lengths = [len(pcm(utterance)) + GAP_SAMPLES for utterance in members(shard, window)]
    return [sum(lengths[:place]) / 16_000 for place in range(len(lengths))]


def _filled(row: Mapping[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """A row with a value in every required column."""
    empty = {pa.string(): "", pa.float64(): 0.0, pa.int32(): 0, pa.bool_(): False}
    return {
        field.name: row.get(field.name, None if field.nullable else empty.get(field.type, []))
        for field in schema
    }


def _write(
    store: Store, path: str, rows: Sequence[Mapping[str, Any]], schema: pa.Schema
) -> FileRef:
    table = pa.Table.from_pylist([_filled(row, schema) for row in rows], schema=schema)
    with store.sink("x") as sink:
        pq.write_table(table, sink, row_group_size=4)
        return store.keep(sink, path).model_copy(update={"num_rows": len(rows)})


def _entry(store: Store, corpus: str, index: int) -> ManifestEntry:
    shard = f"{corpus}{index}"
    audio = [
        {"id": name, "audio": {"bytes": encode_flac(pcm(name)), "path": "x.flac"}}
        for window in range(NUM_WINDOWS)
        for name in members(shard, window)
    ]
    windows = [
        {
            "window_id": f"{shard}/w{window}",
            "utterance_ids": members(shard, window),
            "offsets_s": _offsets_s(shard, window),
            "duration_s": len(window_pcm(shard, window)) / 16_000,
            "pseudo_text": f"DecodingResult {window}, “so”",
            "reference": f"said {window}" if window else "",
            "wer_percent": 10.0 * window if window else None,
            "language": "en",
        }
        for window in range(NUM_WINDOWS)
    ]
    kept = windows[:-1]
    return ManifestEntry(
        key=ShardKey(corpus, "train", index),
        files={
            "normalise": _write(store, f"normalise/{shard}.parquet", audio, NORMALISED),
            "label": _write(store, f"label/{shard}.parquet", windows[::-1], LABELS),
            "score": _write(store, f"score/{shard}.parquet", windows, EVIDENCE),
            "filter": _write(store, f"filter/{shard}.parquet", kept, KEPT),
        },
        num_windows=len(kept),
        num_utterances=sum(len(row["utterance_ids"]) for row in kept),
        hours=sum(row["duration_s"] for row in kept) / 3600,
    )


def shards() -> list[str]:
    """The shards of the manifest."""
    return ["one0", "one1", "two0"]


@pytest.fixture
def published(store: Store) -> Manifest:
    """Three shards of two corpora."""
    entries = tuple(_entry(store, name[:-1], int(name[-1])) for name in shards())
    totals = Totals(shards=3, hours_heard=1, windows_heard=21, windows=18, utterances=33, hours=0.5)
    terms = Terms(name="CC-BY-4.0", commercial_use=True, derivatives=True, redistribution=True)
    settings = {"label": {"language": "en", "teacher": "sha256:00"}}
    found, _ = manifest.publish(
        store,
        Content(
            name="small",
            entries=entries,
            fingerprints={},
            parameters={"one": settings, "two": settings},
        ),
        published_at="now",
        versions={"python": "3"},
        licences={"one": terms, "two": terms},
        totals={"one": totals, "two": totals, "all": totals},
        render_card=render_card,
    )
    return found
