"""Noise out of a local folder of recordings."""

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np

from configs.evaluate import Noise
from storage.errors import UserError
from tasks.audio import AudioError, Samples, decode, to_whisper_rate
from tasks.corpora.local.rows import AUDIO_SUFFIXES, suffix_of
from tasks.evaluate.noise.draws import fractions, sampled_ids
from tasks.evaluate.noise.source import section
from tasks.whisper.streaming import HasLength

_NUM_CACHED: Final = 16
_INT16_SCALE: Final = np.float32(32_768.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseFolder:
    """The recordings below a folder, as a kind of noise: a `NoiseSource`.

    `files` are paths below the folder, sorted. Of a recording the first channel is used, at 16 kHz.
    """

    kind: str
    folder: Path
    files: tuple[str, ...]
    seed: int

    @classmethod
    def of(cls, kind: str, folder: str, seed: int) -> Self:
        """The recordings of `evaluate.noise.folders`; raises `UserError` if there are none."""
        root = Path(folder).expanduser()
        key = f"evaluate.noise.folders.{kind}"
        if not root.is_dir():
            raise UserError(
                f"{key} is {folder!r}, expected a folder of recordings; correct the path, or remove"
                f" {key}"
            )
        files = sorted(
            path.relative_to(root).as_posix()
            for path in root.rglob("*")
            if suffix_of(path.name) in AUDIO_SUFFIXES and path.is_file()
        )
        if not files:
            raise UserError(
                f"{key} is {folder!r}, which has no recordings, expected files in"
                f" {', '.join(AUDIO_SUFFIXES)}; put some there, or remove {key}"
            )
        return cls(kind=kind, folder=root, files=tuple(files), seed=seed)

    def noise_for(self, utterance: HasLength) -> Samples:
        """A section of one of the recordings, both chosen at random; looped if it is too short.

        Raises `UserError` for a recording that cannot be read.
        """
        which, place = fractions(2, self.seed, self.kind, utterance.id)
        recording = self.read(self.files[int(which * len(self.files))])
        return section(recording, float(place), utterance.num_samples)

    def clips(self, num: int, max_samples: int) -> Iterator[Samples]:
        """At most `num` of the recordings, chosen at random, as they are.

        Of a recording longer than `max_samples` it is a section. Raises as `noise_for`.
        """
        chosen = sampled_ids(self.files, self.seed, num)
        for file in sorted(chosen):
            recording = self.read(file)
            (place,) = fractions(1, self.seed, self.kind, "clip", file)
            yield section(recording, float(place), min(max_samples, len(recording)))

    def read(self, file: str) -> Samples:
        """A recording as (samples,) float32 at 16 kHz; some are kept in memory.

        Raises `UserError` for one that cannot be read or is digital silence.
        """
        path = self.folder / file
        try:
            found = os.stat(path)
            return _decoded(path, found.st_size, found.st_mtime_ns)
        except (AudioError, OSError) as error:
            raise UserError(
                f"{str(path)!r} in evaluate.noise.folders.{self.kind} is no recording of noise:"
                f" {error}; repair the file, or remove it from the folder"
            ) from error


@functools.lru_cache(maxsize=_NUM_CACHED)
def _decoded(path: Path, size_bytes: int, changed_ns: int) -> Samples:
    """Size and time are part of the cache key because the file may change."""
    pcm = to_whisper_rate(decode(path.read_bytes()))
    if not pcm.any():
        raise AudioError("only digital silence")
    return pcm.astype(np.float32) / _INT16_SCALE


def check_noise_folders(noise: Noise, *, thorough: bool = True) -> None:
    """Raise `UserError` for the first folder without recordings.

    If `thorough`, all of them are decoded, and one that is unusable is an error too.
    """
    for kind, folder in noise.folders.items():
        opened = NoiseFolder.of(kind, folder, noise.seed)
        if thorough:
            for file in opened.files:
                opened.read(file)
