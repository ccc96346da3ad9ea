"""The interface of a source of noise, and how noise is cut or looped to a length."""

from typing import Protocol

import numpy as np

from tasks.audio import Samples
from tasks.whisper.streaming import HasLength


class HasSpeaker(HasLength, Protocol):
    """An utterance of somebody, with an id and a length."""

    @property
    def recording_id(self) -> str:
        """The recording that it is part of."""

    @property
    def speaker_id(self) -> str | None:
        """Who speaks; None: unknown."""


class NoiseSource(Protocol):
    """A kind of noise.

    What an utterance gets depends on the seed, the kind, its id and its length: on no other
    utterance, no order and no signal-to-noise ratio. So all models, and all ratios, have the same
    noise, and curves are smooth.
    """

    def noise_for(self, utterance: HasSpeaker) -> Samples:
        """(samples,) float32 as long as the utterance, at any power."""


def section(samples: Samples, place: float, num_samples: int) -> Samples:
    """(num_samples,) of a recording, looped if it is shorter, from a `place` in [0, 1) on.

    A recording that is long enough is cut without a seam. Where only digital silence would be cut,
    the section begins at the first sample that is not 0: clips of data sets such as ESC-50 are
    padded with zeros. `samples` is (samples,) with at least one that is not 0.
    """
    num_free = len(samples) - num_samples
    if num_free >= 0:
        first = int(place * (num_free + 1))
        found = samples[first : first + num_samples]
    else:
        found = _looped(samples, int(place * len(samples)), num_samples)
    return found if found.any() else _looped(samples, int(samples.nonzero()[0][0]), num_samples)


def _looped(samples: Samples, first: int, num_samples: int) -> Samples:
    return np.resize(np.concatenate((samples[first:], samples[:first])), num_samples)
