"""The held-out speech on which speed is measured: utterances of all sets, evenly."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import pyarrow.parquet as pq

from storage.receipt import FileRef
from storage.store import Store
from tasks.audio import Samples, decode_flac
from tasks.evaluate.long_form.pauses import cut_at_pauses


def timed_sample(
    files: Sequence[tuple[str, FileRef]],
    store: Store,
    num: int,
    window_samples: int,
    seed: int = 0,
) -> list[Samples]:
    """Windows of `num` utterances, as many of each set as possible, chosen by their ids.

    `files` are normalised shards, each with its set. The choice depends on ids and `seed` alone. An
    utterance longer than a window becomes several, cut at pauses; each is (samples,) float32 at
    16 kHz. Of one that may last hours only the first are taken, one if there are `num` utterances
    and more if there are fewer. Reads the audio of what was chosen, by groups of rows.
    """
    candidates: dict[str, list[tuple[str, int, int]]] = {}
    for number, (set_name, file) in enumerate(files):
        with store.fetch(file) as path:
            ids = pq.read_table(path, columns=["id"]).column("id").to_pylist()
        of_set = candidates.setdefault(set_name, [])
        of_set += ((_order(set_name, one, seed), number, row) for row, one in enumerate(ids))
    chosen: dict[int, list[tuple[int, str]]] = {}
    for set_name, count in _shares({name: len(of) for name, of in candidates.items()}, num):
        for order, number, row in sorted(candidates[set_name])[:count]:
            chosen.setdefault(number, []).append((row, order))
    if not chosen:
        return []
    num_windows = -(-num // sum(map(len, chosen.values())))  # of each utterance, at most
    windows: dict[str, list[Samples]] = {}
    for number, rows in chosen.items():
        for order, samples in _read(store, files[number][1], dict(rows)):
            # one more, so that the last one taken ends at a pause too
            beginning = samples[: (num_windows + 1) * window_samples]
            cuts = cut_at_pauses(beginning, window_samples)[:num_windows]
            windows[order] = [beginning[start:end].copy() for start, end in cuts]
    return [window for order in sorted(windows) for window in windows[order]]


def _order(set_name: str, id: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {set_name} {id}".encode()).hexdigest()


def _shares(sizes: Mapping[str, int], num: int) -> list[tuple[str, int]]:
    """How many to take of each set: the same number, and more of others where one has too few."""
    shares: list[tuple[str, int]] = []
    names = sorted(sizes, key=lambda name: (sizes[name], name))
    for index, name in enumerate(names):
        # the last sets get what cannot be divided
        count = min(sizes[name], num // (len(names) - index))
        shares.append((name, count))
        num -= count
    return shares


def _read(store: Store, file: FileRef, chosen: Mapping[int, str]) -> Iterator[tuple[str, Samples]]:
    """The audio of chosen rows, with their order."""
    with store.fetch(file) as path, pq.ParquetFile(path, pre_buffer=False) as parquet:
        sizes = [parquet.metadata.row_group(one).num_rows for one in range(parquet.num_row_groups)]
        starts = [sum(sizes[:group]) for group in range(len(sizes) + 1)]
        for group, (start, end) in enumerate(pairwise(starts)):
            rows = [row for row in chosen if start <= row < end]
            if rows:
                audio = parquet.read_row_group(group, columns=["audio"]).column("audio")
                for row in rows:
                    yield chosen[row], decode_flac(audio[row - start].as_py()["bytes"])
