"""The held-out speech that selects a student's weights: whole sets, or samples over speakers."""

from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from storage.receipt import FileRef
from storage.store import Store
from tasks.audio import SAMPLE_RATE_HZ
from tasks.job import row_batches
from tasks.reading.shuffle import random_below, shuffle

ValidationSpeech = Mapping[str, Sequence[pa.RecordBatch]]
"""Set, as `corpus/split`, to normalised utterances (NORMALISED)."""

Mask = npt.NDArray[np.bool_]

_BATCH_ROWS: Final = 16
_METADATA: Final = ("recording_id", "speaker_id", "duration_s")


@dataclass(frozen=True)
class _Utterances:
    """Who speaks in each utterance of a set, and how many windows it fills."""

    speakers: Sequence[str]
    num_windows: Sequence[int]


def read_validation_speech(
    store: Store,
    files: Sequence[tuple[str, FileRef]],
    *,
    num_windows: int | None,
    window_samples: int,
    seed: int,
) -> ValidationSpeech:
    """Utterances that together fill about `num_windows`, with equal shares for all sets.

    `files` are normalised shards, each with its set. A set smaller than its share is used whole and
    leaves the rest to the others; of a larger one, `sampled` takes some utterances. None: all
    of all sets. An utterance longer than a window counts as several and is never skipped for it.
    """
    by_set: dict[str, list[FileRef]] = {}
    for name, file in files:
        by_set.setdefault(name, []).append(file)
    found = {
        name: _utterances(store, of_set, window_samples / SAMPLE_RATE_HZ)
        for name, of_set in by_set.items()
    }
    shares = _shares({name: sum(one.num_windows) for name, one in found.items()}, num_windows)
    chosen = {
        name: sampled(one.speakers, one.num_windows, shares[name], seed)
        for name, one in found.items()
    }
    return {name: _rows(store, of_set, chosen[name]) for name, of_set in by_set.items()}


def sampled(
    speakers: Sequence[str], num_windows: Sequence[int], max_windows: int, seed: int
) -> Mask:
    """A sample of utterances that fills `max_windows`, of as many speakers as possible.

    `speakers` and `num_windows` are by utterance. Each speaker has a turn, in random order, with a
    random utterance, until the windows are filled. All is taken if all fits.
    """
    chosen = np.zeros(len(speakers), dtype=np.bool_)
    by_speaker: defaultdict[str, list[int]] = defaultdict(list)
    for index, speaker in enumerate(speakers):
        by_speaker[speaker].append(index)
    below = random_below(seed, len(speakers))
    names = sorted(by_speaker)
    shuffle(names, below)
    for name in names:
        shuffle(by_speaker[name], below)
    num_left = max_windows
    while names and num_left > 0:
        for name in names:
            if num_left <= 0:
                break
            index = by_speaker[name].pop()
            chosen[index] = True
            num_left -= num_windows[index]
        names = [name for name in names if by_speaker[name]]
    return chosen


def _shares(sizes: Mapping[str, int], num_windows: int | None) -> dict[str, int]:
    """Windows by set: equal parts of `num_windows`, where a set is large enough."""
    if num_windows is None:
        return dict(sizes)
    shares: dict[str, int] = {}
    num_left = num_windows
    for place, name in enumerate(sorted(sizes, key=sizes.__getitem__)):
        shares[name] = min(sizes[name], -(-num_left // (len(sizes) - place)))
        num_left -= shares[name]
    return shares


def _utterances(store: Store, files: Sequence[FileRef], window_s: float) -> _Utterances:
    speakers: list[str] = []
    num_windows: list[int] = []
    for file in files:
        with store.fetch(file) as path:
            columns = pq.read_table(path, columns=list(_METADATA)).to_pydict()
        recordings = columns["recording_id"]
        pairs = zip(columns["speaker_id"], recordings, strict=True)
        speakers += [recording if speaker is None else speaker for speaker, recording in pairs]
        windows = np.ceil(np.array(columns["duration_s"], dtype=np.float64) / window_s)
        num_windows += windows.astype(int).tolist()
    return _Utterances(speakers, num_windows)


def _rows(store: Store, files: Sequence[FileRef], chosen: Mask) -> list[pa.RecordBatch]:
    found: list[pa.RecordBatch] = []
    first = 0
    with closing(_batches(store, files)) as batches:
        for batch in batches:
            of_batch = chosen[first : first + batch.num_rows]
            first += batch.num_rows
            if of_batch.any():
                found.append(batch.filter(pa.array(of_batch)))
    return found


def _batches(store: Store, files: Sequence[FileRef]) -> Generator[pa.RecordBatch, None, None]:
    for file in files:
        with store.fetch(file) as path:
            yield from row_batches(pq.ParquetFile(path, pre_buffer=False), _BATCH_ROWS)
