"""The three files of a manifest entry become examples: joined by id, never by position."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.errors import IntegrityError
from tasks.reading.cut import cut_tokens, stretches
from tasks.reading.examples import Clip, Example

_LABEL_COLUMNS = [
    "window_id",
    "utterance_ids",
    "offsets_s",
    "duration_s",
    "pseudo_text",
    "pseudo_tokens",
    "previous_window_id",
]


@dataclass(slots=True)
class _Window:
    """A kept window and the audio of it that was read so far."""

    id: str
    utterance_ids: list[str]
    offsets_s: list[float]
    duration_s: float
    text: str
    tokens: tuple[int, ...]
    previous_id: str | None
    is_cut: bool = False
    previous: "_Window | None" = None
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
            text=self.text,
            previous_tokens=self.previous.tokens if self.previous else None,
            previous_text=self.previous.text if self.previous else None,
        )


def read_entry(
    audio: Path, label: Path, kept: Path, positions: Sequence[int] | None = None
) -> Iterator[Example]:
    """The kept windows of a manifest entry, in the order in which their audio is complete.

    `audio`, `label` and `kept` are Parquet files of the schemas `NORMALISED`, `LABELS` and `KEPT`.
    With `positions`, which rise, only those of that order, and only the row groups that they need
    are read. One row group of audio is in memory at a time, with the windows that wait for a later
    one; the files may be removed once the first example is out. The order depends on the files
    alone. Raises `IntegrityError` when a kept window has no label or an utterance of it no audio.
    """
    with pq.ParquetFile(audio) as file:
        ids = file.read(columns=["id"]).column("id").to_pylist()
        rows = {utterance_id: row for row, utterance_id in enumerate(ids)}
        windows = _kept_windows(label, kept)
        _refuse_without_audio(windows, rows, audio)
        windows.sort(key=lambda window: max(map(rows.__getitem__, window.utterance_ids)))
        chosen = windows if positions is None else [windows[position] for position in positions]
        yield from _with_audio(file, chosen, rows)


def _with_audio(
    file: pq.ParquetFile, windows: Sequence[_Window], rows: dict[str, int]
) -> Iterator[Example]:
    waiting: defaultdict[int, list[tuple[str, _Window]]] = defaultdict(list)
    for window in windows:
        for utterance_id in window.utterance_ids:
            waiting[rows[utterance_id]].append((utterance_id, window))
    wanted = sorted(waiting)
    first, place = 0, 0
    for group in range(file.num_row_groups):
        start, first = first, first + file.metadata.row_group(group).num_rows
        if place == len(wanted) or wanted[place] >= first:
            continue
        audio = file.read_row_group(group, ["audio"]).column("audio")
        flacs = pc.struct_field(audio, "bytes")  # copies nothing
        while place < len(wanted) and wanted[place] < first:
            row, place = wanted[place], place + 1
            flac = flacs[row - start].as_py()
            for utterance_id, window in waiting.pop(row):
                window.flacs[utterance_id] = flac
                if len(window.flacs) == len(window.utterance_ids):
                    yield window.example()
                    window.flacs = {}


def _kept_windows(label: Path, kept: Path) -> list[_Window]:
    rows = {row["window_id"]: row for row in pq.read_table(kept).to_pylist()}
    windows: dict[str, _Window] = {}
    with pq.ParquetFile(label) as file:
        for batch in file.iter_batches(columns=_LABEL_COLUMNS):
            for heard in batch.to_pylist():
                if (row := rows.get(heard["window_id"])) is not None:
                    windows[heard["window_id"]] = _window(heard, row)
    if missing := rows.keys() - windows.keys():
        raise IntegrityError(
            f"{len(missing)} of {len(rows)} kept windows are not in the labels {label}, the first"
            f" {min(missing)}: filter and label do not belong together; publish again"
        )
    for window in windows.values():
        if window.previous_id is not None:
            before = windows.get(window.previous_id)
            # where a window lacks some of its speech, its text is not what was said right before
            window.previous = None if before is None or before.is_cut else before
    return list(windows.values())


def _window(label: dict[str, Any], kept: dict[str, Any]) -> _Window:
    """The kept window of a label: all of it, or what its row in KEPT leaves of it."""
    cut = kept["cut"]
    if cut is None:
        return _Window(
            id=label["window_id"],
            utterance_ids=label["utterance_ids"],
            offsets_s=label["offsets_s"],
            duration_s=label["duration_s"],
            text=label["pseudo_text"],
            tokens=tuple(label["pseudo_tokens"]),
            previous_id=label["previous_window_id"],
        )
    try:
        left = stretches(label, kept)
    except KeyError as error:
        raise IntegrityError(
            f"the kept window {label['window_id']} has the utterance {error}, its label has not:"
            " filter and label do not belong together; publish again"
        ) from error
    return _Window(
        id=label["window_id"],
        utterance_ids=kept["utterance_ids"],
        offsets_s=[one.now_s for one in left],
        duration_s=kept["duration_s"],
        text=cut["pseudo_text"],
        tokens=cut_tokens(label["pseudo_tokens"], left, cut),
        previous_id=None,
        is_cut=True,
    )


def _refuse_without_audio(windows: Sequence[_Window], rows: dict[str, int], audio: Path) -> None:
    missing = [
        (utterance_id, window.id)
        for window in windows
        for utterance_id in window.utterance_ids
        if utterance_id not in rows
    ]
    if missing:
        utterance_id, window_id = missing[0]
        raise IntegrityError(
            f"utterance {utterance_id} of the kept window {window_id} is not in the normalised"
            f" shard {audio} ({len(missing)} such utterances): label and normalise do not belong"
            " together; publish again"
        )
