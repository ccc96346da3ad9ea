"""Meetings of the demo: people around a table, each on a headset and all on one microphone.

Knows rooms and turns; knows no corpus's files.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.demo.acoustics import coloured_noise, reverberate
from tasks.demo.utterances import FloatArray, Utterance
from tasks.demo.voices import SAMPLE_RATE_HZ

# How loud the others are on somebody's headset.
_CROSSTALK = 0.02
_GAIN = (0.6, 0.9)
_HEADSET_NOISE = (0.001, 0.003)
_TABLE_NOISE = (0.004, 0.01)
_PAUSE_S = (0.3, 1.2)
# How much of the turn before a turn that interrupts it runs over.
_INTERRUPTED_S = 0.4
_QUIET_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What somebody says, and whether before the turn before it is over."""

    headset: int
    said: Utterance
    interrupts: bool = False


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """What each microphone heard, float32 (n,) at 16 kHz, and when each turn starts."""

    headsets: tuple[FloatArray, ...]
    table: FloatArray
    starts_s: tuple[float, ...]


def hold_meeting(turns: Sequence[Turn], num_headsets: int, rng: np.random.Generator) -> Meeting:
    """Record the turns in their order."""
    starts_s: list[float] = []
    end_s = _QUIET_S
    for turn in turns:
        pause_s = -_INTERRUPTED_S if turn.interrupts else rng.uniform(*_PAUSE_S)
        starts_s.append(round(end_s + pause_s, 2))
        end_s = max(end_s, starts_s[-1] + turn.said.duration_s)
    close = np.zeros((num_headsets, round((end_s + _QUIET_S) * SAMPLE_RATE_HZ)), dtype=np.float32)
    for turn, start_s in zip(turns, starts_s, strict=True):
        first = round(start_s * SAMPLE_RATE_HZ)
        close[turn.headset, first : first + turn.said.samples.size] += turn.said.samples
    everybody = close.sum(axis=0)
    room = reverberate(everybody, SAMPLE_RATE_HZ, rng.uniform(0.2, 0.4), 0.1, rng)
    return Meeting(
        headsets=tuple(
            _recorded(own + _CROSSTALK * (everybody - own), _HEADSET_NOISE, rng) for own in close
        ),
        table=_recorded(room, _TABLE_NOISE, rng),
        starts_s=tuple(starts_s),
    )


def _recorded(
    heard: FloatArray, noise: tuple[float, float], rng: np.random.Generator
) -> FloatArray:
    """At the same gain for all, so that whoever is silent stays so; `noise` is its range of RMS."""
    hiss = rng.uniform(*noise) * coloured_noise(heard.size, rng)
    return np.asarray(rng.uniform(*_GAIN) * heard + hiss, dtype=np.float32)
