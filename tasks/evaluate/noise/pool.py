"""Reads the speech from which babble is mixed, from normalised shards."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from configs.evaluate import Noise
from storage.errors import UserError
from storage.fingerprint import digest
from storage.receipt import FileRef
from storage.store import Store
from tasks.audio import SAMPLE_RATE_HZ, AudioError, Samples, decode_flac
from tasks.evaluate.noise.babble import BabblePool, Talker, Voice
from tasks.evaluate.noise.mixing import power

_POOL_FACTOR: Final = 4
"""Talkers in the pool, for each in the babble: enough that mixtures differ."""
_TALKER_S: Final = 30.0
"""About so much speech of each talker is enough for few repetitions, and bounds memory."""
_METADATA: Final = ("id", "corpus", "recording_id", "speaker_id", "duration_s")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Request:
    """What decides a pool: the digests of the files, and the settings."""

    digests: frozenset[str]
    num_speakers: int
    seed: int
    store: Store = field(compare=False)
    files: tuple[FileRef, ...] = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A voice, and the numbers of the rows with its speech."""

    voice: Voice
    rows: tuple[int, ...]


def babble_pool(store: Store, files: Sequence[FileRef], settings: Noise) -> BabblePool:
    """Talkers out of normalised shards (NORMALISED), read once per process.

    Four times as many as `settings.num_babble_speakers`, or all if there are fewer, each with about
    30 s of speech if it has as much. They depend on the contents of the files and on the seed, not
    on their order. No more files are read than needed, and only the audio of the talkers. Raises
    `UserError` for fewer distinct speakers than a mixture and the speaker of the utterance need,
    `IntegrityError` for a file that is missing or damaged.
    """
    return _read(
        _Request(
            digests=frozenset(file.sha256 for file in files),
            num_speakers=settings.num_babble_speakers,
            seed=settings.seed,
            store=store,
            files=tuple(files),
        )
    )


@functools.lru_cache(maxsize=4)  # corpora whose shards take turns
def _read(request: _Request) -> BabblePool:
    talkers: list[Talker] = []
    files = {file.sha256: file for file in request.files}
    for sha256 in sorted(files, key=lambda one: digest([request.seed, one])):
        num_missing = _POOL_FACTOR * request.num_speakers - len(talkers)
        if num_missing <= 0:
            break
        with request.store.fetch(files[sha256]) as path:
            talkers += _talkers(path, [one.voice for one in talkers], num_missing, request.seed)
    if len(talkers) <= request.num_speakers:
        raise UserError(
            f"evaluate.noise.kinds has babble, for which the held-out speech has {len(talkers)}"
            f" distinct speakers, expected at least {request.num_speakers + 1}; remove babble from"
            " evaluate.noise.kinds"
        )
    return BabblePool(tuple(talkers))


def _talkers(path: Path, taken: Sequence[Voice], num: int, seed: int) -> list[Talker]:
    """At most `num` talkers of a file who are none of those that are `taken`."""
    file = pq.ParquetFile(path, pre_buffer=False)
    voices, chosen = list(taken), list[_Candidate]()
    for candidate in _candidates(file.read(columns=list(_METADATA)).to_pylist(), seed):
        if len(chosen) < num and not any(candidate.voice.may_be(one) for one in voices):
            voices.append(candidate.voice)
            chosen.append(candidate)
    speech = _speech(file, sorted(chain.from_iterable(one.rows for one in chosen)))
    found: list[Talker] = []
    for one in chosen:
        pieces = [speech[row] for row in one.rows if row in speech]
        samples = np.concatenate([np.zeros(0, np.float32), *pieces])
        if level := power(samples):
            found.append(Talker(one.voice, (samples / level**0.5).astype(np.float32)))
    return found


def _candidates(rows: Sequence[Row], seed: int) -> Iterator[_Candidate]:
    """The voices in random order, each with utterances in random order, up to the length needed."""
    by_voice: dict[tuple[str, ...], list[int]] = {}
    for number, row in enumerate(rows):
        known, recording = row["speaker_id"], row["recording_id"]
        who = ("recording", recording) if known is None else ("speaker", known)
        by_voice.setdefault((row["corpus"], *who), []).append(number)
    for key in sorted(by_voice, key=lambda one: digest([seed, *one])):
        order = sorted(by_voice[key], key=lambda number: digest([seed, rows[number]["id"]]))
        total_s, numbers = 0.0, list[int]()
        for number in order:
            if total_s >= _TALKER_S:
                break
            numbers.append(number)
            total_s += rows[number]["duration_s"]
        first = rows[numbers[0]]
        # all of them, since somebody unknown in any of these may be the same person
        recordings = frozenset(rows[number]["recording_id"] for number in by_voice[key])
        yield _Candidate(Voice(first["corpus"], first["speaker_id"], recordings), tuple(numbers))


def _speech(file: pq.ParquetFile, numbers: Sequence[int]) -> Mapping[int, Samples]:
    """The first seconds of these rows; those that cannot be decoded are left out."""
    found: dict[int, Samples] = {}
    first = 0
    for group in range(file.num_row_groups):
        end = first + file.metadata.row_group(group).num_rows
        if here := [number for number in numbers if first <= number < end]:
            audio = file.read_row_group(group, columns=["audio"]).column("audio")
            for number in here:
                try:
                    samples = decode_flac(audio[number - first].as_py()["bytes"])
                except AudioError:
                    continue
                found[number] = samples[: round(_TALKER_S * SAMPLE_RATE_HZ)]
        first = end
    return found
