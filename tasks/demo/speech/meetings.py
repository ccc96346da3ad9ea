"""Meetings of the demo: each speaker has a headset, and one table microphone records all.

Knows acoustics and turns, not the files of any corpus.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.demo.speech.acoustics import coloured_noise, reverberate
from tasks.demo.speech.utterances import FloatArray, Utterance
from tasks.demo.speech.voices import SAMPLE_RATE_HZ

# Gain of the other speakers on a headset.
_CROSSTALK = 0.02
_GAIN = (0.6, 0.9)
_HEADSET_NOISE = (0.001, 0.003)
_TABLE_NOISE = (0.004, 0.01)
_PAUSE_S = (0.3, 1.2)
# Overlap of an interrupting turn with the turn before it.
_INTERRUPTED_S = 0.4
_QUIET_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A turn; `interrupts` means that it starts before the previous turn ends."""

    headset: int
    utterance: Utterance
    interrupts: bool = False


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """The recordings, float32 (n,) at 16 kHz, and the start of each turn in seconds."""

    headsets: tuple[FloatArray, ...]
    table: FloatArray
    starts_s: tuple[float, ...]


def record_meeting(turns: Sequence[Turn], num_headsets: int, rng: np.random.Generator) -> Meeting:
    """Record the turns in order."""
    starts_s: list[float] = []
    end_s = _QUIET_S
    for turn in turns:
        pause_s = -_INTERRUPTED_S if turn.interrupts else rng.uniform(*_PAUSE_S)
        starts_s.append(round(end_s + pause_s, 2))
        end_s = max(end_s, starts_s[-1] + turn.utterance.duration_s)
    close = np.zeros((num_headsets, round((end_s + _QUIET_S) * SAMPLE_RATE_HZ)), dtype=np.float32)
    for turn, start_s in zip(turns, starts_s, strict=True):
        first = round(start_s * SAMPLE_RATE_HZ)
        close[turn.headset, first : first + turn.utterance.samples.size] += turn.utterance.samples
    mix = close.sum(axis=0)
    room = reverberate(mix, SAMPLE_RATE_HZ, rng.uniform(0.2, 0.4), 0.1, rng)
    return Meeting(
        headsets=tuple(
            _recorded(own + _CROSSTALK * (mix - own), _HEADSET_NOISE, rng) for own in close
        ),
        table=_recorded(room, _TABLE_NOISE, rng),
        starts_s=tuple(starts_s),
    )


def _recorded(
    signal: FloatArray, noise: tuple[float, float], rng: np.random.Generator
) -> FloatArray:
    """Apply a gain and add noise with an RMS in the range `noise`."""
    hiss = rng.uniform(*noise) * coloured_noise(signal.size, rng)
    return np.asarray(rng.uniform(*_GAIN) * signal + hiss, dtype=np.float32)
