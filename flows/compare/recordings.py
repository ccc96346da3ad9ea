"""Held-out speech that the page offers, with what was read out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from storage.receipt import FileRef
from storage.store import Store
from tasks.audio import SAMPLE_RATE_HZ, Samples, decode_flac, encode_wave
from tasks.distil.validation_speech import read_validation_speech

_SEED: Final = 0
_FULL_SCALE: Final = 1 << 15


@dataclass(frozen=True, kw_only=True)
class Recording:
    """An utterance: (samples,) float32 at 16 kHz, multiples of 2^-15 as in a normalised shard."""

    name: str
    reference: str
    samples: Samples

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.samples) / SAMPLE_RATE_HZ

    def wav(self) -> bytes:
        """As a WAV file, whose 16-bit samples are exactly these."""
        scaled = np.round(self.samples * _FULL_SCALE).clip(-_FULL_SCALE, _FULL_SCALE - 1)
        return encode_wave(scaled.astype(np.int16))


def read_recordings(
    store: Store,
    files: Sequence[tuple[str, FileRef]],
    *,
    num_recordings: int,
    window_samples: int,
) -> list[Recording]:
    """At most about so many utterances of `files`, normalised shards with their set.

    They are of as many sets and speakers as possible.
    """
    speech = read_validation_speech(
        store, files, num_windows=num_recordings, window_samples=window_samples, seed=_SEED
    )
    return [
        Recording(
            name=f"{name}/{row['id']}",
            reference=row["raw_text"],
            samples=decode_flac(row["audio"]["bytes"]),
        )
        for name, batches in speech.items()
        for batch in batches
        for row in batch.to_pylist()
    ]
