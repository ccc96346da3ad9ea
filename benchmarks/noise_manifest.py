"""A published manifest of noise shaped like speech levels: every file that training reads."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from storage.manifest import Content, Manifest, ManifestEntry, Terms, Totals, publish
from storage.receipt import FileRef
from storage.shard import ShardKey
from storage.store import Store
from tasks.audio import SAMPLE_RATE_HZ, encode_flac
from tasks.card import render_card
from tasks.filter.schema import KEPT
from tasks.label.schema import LABELS
from tasks.normalise.schema import NORMALISED
from tasks.score.schema import EVIDENCE

NUM_VOICES = 12
_ROW_GROUP_BYTES = 16 << 20


@cache
def flac(voice: int, duration_s: float) -> bytes:
    """Noise whose level goes up and down as that of speech does; few different ones are enough."""
    random = np.random.default_rng(voice)
    times_s = np.arange(round(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    level = 0.05 * (1 + np.sin(2 * np.pi * 3 * times_s))
    samples = random.standard_normal(len(times_s)) * level
    return encode_flac((np.clip(samples, -1, 1) * 32767).astype(np.int16))


def write_manifest(
    store: Store,
    name: str,
    num_windows: Mapping[str, Sequence[int]],
    *,
    duration_s: float = 0.05,
    utterances_per_window: int = 1,
    row_group_bytes: int = _ROW_GROUP_BYTES,
) -> Manifest:
    """Publish `name`: for each corpus a shard for each number of windows.

    Of every three windows in a row the second and third follow the one before. Utterances stand
    in the files in an order that is not that of the windows.
    """
    entries = [
        _write_entry(
            store, ShardKey(corpus, "train", index), num, duration_s, utterances_per_window,
            row_group_bytes,
        )
        for corpus, sizes in num_windows.items()
        for index, num in enumerate(sizes)
    ]  # fmt: skip
    total = Totals(
        shards=len(entries),
        hours_heard=sum(entry.hours for entry in entries),
        windows_heard=sum(entry.num_windows for entry in entries),
        windows=sum(entry.num_windows for entry in entries),
        utterances=sum(entry.num_utterances for entry in entries),
        hours=sum(entry.hours for entry in entries),
    )
    terms = Terms(name="CC0-1.0", commercial_use=True, derivatives=True, redistribution=True)
    published, _ = publish(
        store,
        Content(name=name, entries=tuple(entries), fingerprints={}, parameters={}),
        published_at="2026-11-01T00:00:00+00:00",
        versions={},
        licences=dict.fromkeys(num_windows, terms),
        totals={"all": total, **dict.fromkeys(num_windows, total)},
        render_card=render_card,
    )
    return published


def _write_entry(
    store: Store,
    key: ShardKey,
    num_windows: int,
    duration_s: float,
    utterances_per_window: int,
    row_group_bytes: int,
) -> ManifestEntry:
    windows = [f"{key.corpus}-{key.index}-{window}" for window in range(num_windows)]
    members = {
        window: [f"{window}_{number}" for number in range(utterances_per_window)]
        for window in windows
    }
    audio = [
        _row(
            NORMALISED, id=utterance, corpus=key.corpus, split=key.split, duration_s=duration_s,
            audio={"bytes": flac(voice_of(utterance), duration_s), "path": f"{utterance}.flac"},
        )
        for window in reversed(windows)
        for utterance in members[window]
    ]  # fmt: skip
    window_s = duration_s * utterances_per_window
    labels = [
        _row(
            LABELS, window_id=window, utterance_ids=members[window], duration_s=window_s,
            offsets_s=[number * duration_s for number in range(utterances_per_window)],
            pseudo_text=f"this is {window}", pseudo_tokens=[11, 12, 15, 16, place % 10, 10],
            previous_window_id=windows[place - 1] if place % 3 else None, language="en",
        )
        for place, window in enumerate(windows)
    ]  # fmt: skip
    kept = [
        _row(KEPT, window_id=window, utterance_ids=members[window], duration_s=window_s)
        for window in windows[::-1]
    ]
    evidence = [_row(EVIDENCE, window_id=window, duration_s=window_s) for window in windows]
    rows_per_group = max(1, row_group_bytes // len(flac(0, duration_s)))
    return ManifestEntry(
        key=key,
        files={
            "normalise": _write(store, "normalise", key, audio, NORMALISED, rows_per_group),
            "label": _write(store, "label", key, labels, LABELS),
            "score": _write(store, "score", key, evidence, EVIDENCE),
            "filter": _write(store, "filter", key, kept, KEPT),
        },
        num_windows=num_windows,
        num_utterances=len(audio),
        hours=num_windows * window_s / 3600,
    )


def voice_of(utterance_id: str) -> int:
    """Which noise an utterance is."""
    return sum(utterance_id.encode()) % NUM_VOICES


def _row(schema: pa.Schema, **values: Any) -> dict[str, Any]:
    """A row with something of the right type in every column that may not be empty."""
    return {field.name: values.get(field.name, _nothing(field)) for field in schema}


def _nothing(field: pa.Field) -> Any:
    if field.nullable:
        return None
    if pa.types.is_list(field.type):
        return []
    if pa.types.is_boolean(field.type):
        return False
    return "" if pa.types.is_string(field.type) else 0


def _write(
    store: Store,
    stage: str,
    key: ShardKey,
    rows: list[dict[str, Any]],
    schema: pa.Schema,
    row_group_size: int | None = None,
) -> FileRef:
    folder = f"{stage}/{key.corpus}/noise/{key.split}"
    with store.sink(folder) as sink:
        table = pa.Table.from_pylist(rows, schema=schema)
        pq.write_table(table, sink, row_group_size=row_group_size, compression="zstd")
        return store.keep(sink, f"{folder}/{key.index:05d}.{sink.sha256[:8]}.parquet")
