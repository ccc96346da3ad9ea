"""The rows of an export: kept windows with audio, label and evidence, joined by id."""

import re
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.errors import IntegrityError
from storage.manifest import ManifestEntry
from storage.store import Store, sha256_hex
from tasks.audio import SAMPLE_RATE_HZ, encode_flac
from tasks.audio.libsndfile import soundfile
from tasks.read_ahead import read_ahead
from tasks.reading.examples import Example
from tasks.reading.join import read_entry
from tasks.text.comparison import WordErrors

_LABEL_COLUMNS: Final = ["window_id", "language"]
_EVIDENCE_COLUMNS: Final = [
    "window_id",
    "utterance_ids",
    "reference",
    "wer_percent",
    *(
        f"utterances.list.element.{name}"
        for name in ("id", "reference", "hits", "substitutions", "deletions", "insertions")
    ),
]
_FULL_SCALE: Final = 32768.0
_NUM_AHEAD: Final = 32  # windows; of 30 s about 15 MB
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST_NAME: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A kept window with its audio as one FLAC file at 16 kHz.

    `pseudo_text` is the teacher's label, `text` the normalised reference, empty if there is none.
    `offsets_s` are the starts of the utterances. In a window that was cut down, text and
    `wer_percent` are those of the kept utterances.
    """

    id: str
    corpus: str
    split: str
    shard: int
    utterance_ids: tuple[str, ...]
    offsets_s: tuple[float, ...]
    duration_s: float
    flac: bytes
    text: str
    pseudo_text: str
    wer_percent: float | None
    language: str


def entry_rows(
    entry: ManifestEntry, store: Store, first: int, end: int, num_threads: int
) -> Generator[Row, None, None]:
    """The windows from `first` up to `end` of an entry, in the order of `read_entry`.

    Raises `IntegrityError` if a file does not match the manifest.
    """
    with ExitStack() as files:
        audio, label, evidence, kept = (
            files.enter_context(store.fetch(entry.files[stage]))
            for stage in ("normalise", "label", "score", "filter")
        )
        _refuse_other_number(entry, kept)
        details = _details(label, evidence, kept)
        rows = read_ahead(
            read_entry(audio, label, kept, range(first, end)),
            lambda example: _row(entry, example, details[example.window_id]),
            num_threads=num_threads,
            num_ahead=_NUM_AHEAD,
        )
        yield from files.enter_context(closing(rows))


def _refuse_other_number(entry: ManifestEntry, kept: Path) -> None:
    if (num_kept := pq.read_metadata(kept).num_rows) != entry.num_windows:
        raise IntegrityError(
            f"{entry.files['filter'].path} has {num_kept} windows, the manifest states"
            f" {entry.num_windows}; publish again"
        )


def _details(label: Path, evidence: Path, kept: Path) -> dict[str, dict[str, Any]]:
    """The needed columns of label and evidence of the kept windows, by window id."""
    rows = pq.read_table(kept)
    ids, is_cut = rows.column("window_id"), pc.is_valid(rows.column("cut"))
    details: dict[str, dict[str, Any]] = {
        window_id: {"is_cut": cut}
        for window_id, cut in zip(ids.to_pylist(), is_cut.to_pylist(), strict=True)
    }
    for path, columns in ((label, _LABEL_COLUMNS), (evidence, _EVIDENCE_COLUMNS)):
        wanted = pc.is_in(pc.field("window_id"), ids.combine_chunks())
        with pq.ParquetFile(path) as file:  # unlike `pq.read_table`, reads single fields
            found = file.read(columns=columns).filter(wanted).to_pylist()
        for row in found:
            details[row["window_id"]].update(row)
    return details


def _row(entry: ManifestEntry, example: Example, details: dict[str, Any]) -> Row:
    utterance_ids = tuple(clip.utterance_id for clip in example.clips)
    text, wer_percent = details["reference"], details["wer_percent"]
    if details["is_cut"]:
        kept = [one for one in details["utterances"] if one["id"] in utterance_ids]
        text = " ".join(one["reference"] for one in kept if one["reference"])
        errors = sum((_errors(one) for one in kept), start=WordErrors())
        wer_percent = errors.wer_percent
        details = {**details, "utterance_ids": [one["id"] for one in kept]}
    if utterance_ids != tuple(details["utterance_ids"]):
        raise IntegrityError(
            f"the window {example.window_id} has {len(utterance_ids)} utterances, its evidence in"
            f" {entry.files['score'].path} is of {len(details['utterance_ids'])}; publish again"
        )
    flac, num_samples = _audio(example)
    return Row(
        id=example.window_id,
        corpus=entry.key.corpus,
        split=entry.key.split,
        shard=entry.key.index,
        utterance_ids=utterance_ids,
        offsets_s=tuple(clip.offset_s for clip in example.clips),
        duration_s=num_samples / SAMPLE_RATE_HZ,
        flac=flac,
        text=text,
        pseudo_text=example.text,
        wer_percent=wer_percent,
        language=details["language"],
    )


def _errors(utterance: dict[str, Any]) -> WordErrors:
    return WordErrors(
        hits=utterance["hits"],
        substitutions=utterance["substitutions"],
        deletions=utterance["deletions"],
        insertions=utterance["insertions"],
    )


def _audio(example: Example) -> tuple[bytes, int]:
    """The window as a FLAC file, and its number of samples; the stored file if it is complete."""
    if len(example.clips) == 1 and example.clips[0].offset_s == 0:
        flac = example.clips[0].flac
        num_samples = _num_samples(flac)
        if num_samples >= round(example.duration_s * SAMPLE_RATE_HZ):
            return flac, num_samples
    samples = example.samples()
    return encode_flac(np.rint(samples * _FULL_SCALE).astype(np.int16)), len(samples)


def _num_samples(flac: bytes) -> int:
    try:
        return int(soundfile.info(BytesIO(flac)).frames)
    except soundfile.LibsndfileError:
        return 0  # decoding it raises an error with the reason


def file_name(window_id: str) -> str:
    """A file name for a window id: the id if it is valid as one, else with a digest."""
    name = _UNFIT.sub("_", window_id)[:_LONGEST_NAME]
    is_itself = name == window_id and not name.startswith(".")
    return name if is_itself else f"{name.lstrip('.')}-{sha256_hex(window_id.encode())[:8]}"


def take(rows: Iterator[Row], num_bytes: int) -> Iterator[list[Row]]:
    """Group rows to about `num_bytes` of audio."""
    group: list[Row] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row.flac)
        if size >= num_bytes:
            yield group
            group, size = [], 0
    if group:
        yield group
