"""Joins the audio, labels and kept windows of a shard to examples, by id."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.errors import IntegrityError
from tasks.reading.cut import cut_tokens, kept_chunks
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
    """A kept window and the audio read for it so far."""

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
    """The kept windows of a shard, in the order in which their audio is complete.

    `audio`, `label` and `kept` are Parquet files of the schemas NORMALISED, LABELS and KEPT. The
    order depends on the files alone. `positions`, in rising order, selects windows by their place
    in that order; only the row groups they need are read. One row group of audio is in memory at a
    time, plus incomplete windows. The files may be deleted after the first example. Raises
    `IntegrityError` if a kept window has no label, or one of its utterances no audio.
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
    group_end, next_wanted = 0, 0
    for group in range(file.num_row_groups):
        group_start = group_end
        group_end += file.metadata.row_group(group).num_rows
        if next_wanted == len(wanted) or wanted[next_wanted] >= group_end:
            continue
        audio = file.read_row_group(group, ["audio"]).column("audio")
        flacs = pc.struct_field(audio, "bytes")  # without a copy
        while next_wanted < len(wanted) and wanted[next_wanted] < group_end:
            row = wanted[next_wanted]
            next_wanted += 1
            flac = flacs[row - group_start].as_py()
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
            for labelled in batch.to_pylist():
                if (row := rows.get(labelled["window_id"])) is not None:
                    windows[labelled["window_id"]] = _window(labelled, row)
    if missing := rows.keys() - windows.keys():
        raise IntegrityError(
            f"{len(missing)} of {len(rows)} kept windows are not in the labels {label}, the first"
            f" is {min(missing)}: the files are of different runs; publish again"
        )
    for window in windows.values():
        if window.previous_id is not None:
            before = windows.get(window.previous_id)
            # the text of a cut window is not all that was said before
            window.previous = None if before is None or before.is_cut else before
    return list(windows.values())


def _window(label: dict[str, Any], kept: dict[str, Any]) -> _Window:
    """A kept window: the whole label, or the part that the `cut` of its KEPT row leaves."""
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
        chunks = kept_chunks(label, kept)
    except KeyError as error:
        raise IntegrityError(
            f"the kept window {label['window_id']} has the utterance {error}, which its label"
            " lacks: the files are of different runs; publish again"
        ) from error
    return _Window(
        id=label["window_id"],
        utterance_ids=kept["utterance_ids"],
        offsets_s=[chunk.start_s for chunk in chunks],
        duration_s=kept["duration_s"],
        text=cut["pseudo_text"],
        tokens=cut_tokens(label["pseudo_tokens"], chunks, cut),
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
            f" shard {audio} ({len(missing)} such utterances): the files are of different runs;"
            " publish again"
        )
