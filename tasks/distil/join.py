"""The three files of a manifest entry become examples: joined by id, never by position."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import IntegrityError
from tasks.distil.examples import Clip, Example

_AUDIO_COLUMNS = ["id", "audio"]
_LABEL_COLUMNS = ["window_id", "utterance_ids", "offsets_s", "duration_s", "pseudo_tokens"]


@dataclass(slots=True)
class _Window:
    """A kept window and the utterances of it that were read so far."""

    id: str
    utterance_ids: list[str]
    offsets_s: list[float]
    duration_s: float
    tokens: tuple[int, ...]
    flacs: dict[str, bytes] = field(default_factory=dict)

    def example(self) -> Example:
        placed = zip(self.utterance_ids, self.offsets_s, strict=True)
        return Example(
            window_id=self.id,
            tokens=self.tokens,
            duration_s=self.duration_s,
            clips=tuple(
                Clip(clip_id, self.flacs[clip_id], offset_s) for clip_id, offset_s in placed
            ),
        )


def read_entry(audio: Path, label: Path, kept: Path) -> Iterator[Example]:
    """The kept windows of a manifest entry, in the order in which their audio is complete.

    `audio`, `label` and `kept` are Parquet files of the schemas `NORMALISED`, `LABELS` and `KEPT`.
    One row group of audio is in memory at a time, with the windows that wait for a later one; the
    files may be removed once the first example is out. The order depends on the files alone.
    Raises `IntegrityError` when a kept window has no label or an utterance of it no audio.
    """
    with pq.ParquetFile(audio) as file:
        windows = _kept_windows(label, kept)
        waiting: defaultdict[str, list[_Window]] = defaultdict(list)
        for window in windows:
            for utterance_id in window.utterance_ids:
                waiting[utterance_id].append(window)
        for group in range(file.num_row_groups):
            if not waiting:
                return
            for utterance_id, flac in _wanted(file.read_row_group(group, _AUDIO_COLUMNS), waiting):
                for window in waiting.pop(utterance_id):
                    window.flacs[utterance_id] = flac
                    if len(window.flacs) == len(window.utterance_ids):
                        yield window.example()
                        window.flacs = {}
    if waiting:
        utterance_id, (window, *_) = next(iter(waiting.items()))
        raise IntegrityError(
            f"utterance {utterance_id} of the kept window {window.id} is not in the normalised"
            f" shard {audio} ({len(waiting)} such utterances): label and normalise do not belong"
            " together; publish again"
        )


def _wanted(
    group: pa.Table, waiting: defaultdict[str, list[_Window]]
) -> Iterator[tuple[str, bytes]]:
    audio = group.column("audio")
    for row, utterance_id in enumerate(group.column("id").to_pylist()):
        if utterance_id in waiting:
            yield utterance_id, audio[row]["bytes"].as_py()


def _kept_windows(label: Path, kept: Path) -> list[_Window]:
    ids = set(pq.read_table(kept, columns=["window_id"]).column("window_id").to_pylist())
    windows: list[_Window] = []
    with pq.ParquetFile(label) as file:
        for batch in file.iter_batches(columns=_LABEL_COLUMNS):
            windows += [_window(row) for row in batch.to_pylist() if row["window_id"] in ids]
    if missing := ids - {window.id for window in windows}:
        raise IntegrityError(
            f"{len(missing)} of {len(ids)} kept windows are not in the labels {label}, the first"
            f" {min(missing)}: filter and label do not belong together; publish again"
        )
    return windows


def _window(row: dict[str, Any]) -> _Window:
    return _Window(
        id=row["window_id"],
        utterance_ids=row["utterance_ids"],
        offsets_s=row["offsets_s"],
        duration_s=row["duration_s"],
        tokens=tuple(row["pseudo_tokens"]),
    )
