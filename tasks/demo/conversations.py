"""Telephone calls of the demo: two people speak in turns, each on a channel, partly at once.

Knows calls and their turns; knows no corpus's transcripts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt
import soxr

from tasks.corpora.conversations import CHANNELS, split_of
from tasks.demo.acoustics import add_noise, scale_to_peak, telephone
from tasks.demo.utterances import Defect, FloatArray, defect_at, pcm16, utterance
from tasks.demo.voices import SAMPLE_RATE_HZ

LINE_RATE_HZ = 8_000
TURNS_A_CALL = 10
QUIET_S = 1.5
"""How much a call goes on after its last turn, at least."""

# From one side's end to the other's beginning: often before it.
_PAUSE_S = (-0.6, 0.8)
_OWN_PAUSE_S = 0.5
# How far an annotation reaches beyond the speech at each end.
_MARGIN_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What a side says from `start_s` to `end_s`; `text` in lower case, maybe empty."""

    side: str
    start_s: float
    end_s: float
    text: str
    defect: Defect | None


@dataclass(frozen=True, kw_only=True)
class Call:
    """A recorded call: `samples` int16 (n, 2) at 8 kHz, side A first; turns in order of time."""

    name: str
    samples: npt.NDArray[np.int16]
    turns: tuple[Turn, ...]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / LINE_RATE_HZ


def call_names(template: str, first: int, split: str) -> Iterator[str]:
    """The names, numbered from `first` upward, of calls that are in a split by their hash."""
    names = (template.format(number) for number in count(first))
    return (name for name in names if split_of(name) == split)


def defects_by_call(num_turns: int, *, with_defects: bool) -> Iterator[tuple[Defect | None, ...]]:
    """The defects of the turns of each call, up to ten a call."""
    for first in range(0, num_turns, TURNS_A_CALL):
        here = range(first, min(first + TURNS_A_CALL, num_turns))
        yield tuple(defect_at(index) if with_defects else None for index in here)


def record_call(
    name: str,
    speakers: tuple[str, str],
    defects: Sequence[Defect | None],
    rng: np.random.Generator,
    spoken: Callable[[], None],
    quiet_s: float = QUIET_S,
) -> Call:
    """A call with as many turns as `defects`; `spoken` is called after each of them."""
    turns: list[Turn] = []
    pieces: list[tuple[str, int, FloatArray]] = []
    ends_s = dict.fromkeys(CHANNELS, 0.0)
    for index, defect in enumerate(defects):
        side = "AB"[index % 2]
        said = utterance(speakers[index % 2], rng, defect)
        after_s = max(ends_s.values()) + rng.uniform(*_PAUSE_S)
        start_s = round(max(after_s, ends_s[side] + _OWN_PAUSE_S), 2)
        ends_s[side] = round(start_s + said.duration_s, 2)
        turns.append(
            Turn(
                side=side,
                start_s=start_s - _MARGIN_S,
                end_s=ends_s[side] + _MARGIN_S,
                text=said.transcript,
                defect=defect,
            )
        )
        pieces.append((side, round(start_s * SAMPLE_RATE_HZ), said.samples))
        spoken()
    num_samples = round((max(ends_s.values()) + quiet_s) * SAMPLE_RATE_HZ)
    lines = [_line(side, num_samples, pieces, rng) for side in CHANNELS]
    return Call(name=name, samples=np.stack(lines, axis=1), turns=tuple(turns))


def _line(
    side: str,
    num_samples: int,
    pieces: Sequence[tuple[str, int, FloatArray]],
    rng: np.random.Generator,
) -> npt.NDArray[np.int16]:
    """One side's channel: int16 (n,) at 8 kHz."""
    channel = np.zeros(num_samples, dtype=np.float32)
    for speaker, first, samples in pieces:
        if speaker == side:
            channel[first : first + samples.size] = samples
    heard = add_noise(telephone(channel, SAMPLE_RATE_HZ), rng.uniform(12.0, 30.0), rng)
    resampled: FloatArray = soxr.resample(
        scale_to_peak(heard, rng.uniform(0.4, 0.8)), SAMPLE_RATE_HZ, LINE_RATE_HZ
    )
    return pcm16(resampled)
