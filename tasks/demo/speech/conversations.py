"""Telephone calls of the demo: two speakers take turns, one per channel, partly overlapping.

Knows calls and turns, not the transcript format of any corpus.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt
import soxr

from tasks.corpora.public.telephone.conversations import CHANNELS, split_of
from tasks.demo.speech.acoustics import add_noise, scale_to_peak, telephone
from tasks.demo.speech.utterances import Defect, FloatArray, defect_at, pcm16, utterance
from tasks.demo.speech.voices import SAMPLE_RATE_HZ

LINE_RATE_HZ = 8_000
TURNS_A_CALL = 10
QUIET_S = 1.5
"""Minimum duration of a call after its last turn."""

# Pause between speakers; negative for overlap.
_PAUSE_S = (-0.6, 0.8)
_OWN_PAUSE_S = 0.5
# Margin of an annotation around the speech.
_MARGIN_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A turn of one side; `text` is lower case and may be empty."""

    side: str
    start_s: float
    end_s: float
    text: str
    defect: Defect | None


@dataclass(frozen=True, kw_only=True)
class Call:
    """A recorded call: `samples` int16 (n, 2) at 8 kHz, side A first; turns sorted by time."""

    name: str
    samples: npt.NDArray[np.int16]
    turns: tuple[Turn, ...]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / LINE_RATE_HZ


def call_names(template: str, first: int, split: str) -> Iterator[str]:
    """Call names, numbered from `first`, whose hash puts them into a split."""
    names = (template.format(number) for number in count(first))
    return (name for name in names if split_of(name) == split)


def defects_by_call(num_turns: int, *, with_defects: bool) -> Iterator[tuple[Defect | None, ...]]:
    """The defects of the turns of each call, up to ten per call."""
    for first in range(0, num_turns, TURNS_A_CALL):
        here = range(first, min(first + TURNS_A_CALL, num_turns))
        yield tuple(defect_at(index) if with_defects else None for index in here)


def record_call(
    name: str,
    speakers: tuple[str, str],
    defects: Sequence[Defect | None],
    rng: np.random.Generator,
    on_utterance: Callable[[], None],
    quiet_s: float = QUIET_S,
) -> Call:
    """A call with one turn per item of `defects`; `on_utterance` is called after each."""
    turns: list[Turn] = []
    pieces: list[tuple[str, int, FloatArray]] = []
    ends_s = dict.fromkeys(CHANNELS, 0.0)
    for index, defect in enumerate(defects):
        side = "AB"[index % 2]
        speech = utterance(speakers[index % 2], rng, defect)
        after_s = max(ends_s.values()) + rng.uniform(*_PAUSE_S)
        start_s = round(max(after_s, ends_s[side] + _OWN_PAUSE_S), 2)
        ends_s[side] = round(start_s + speech.duration_s, 2)
        turns.append(
            Turn(
                side=side,
                start_s=start_s - _MARGIN_S,
                end_s=ends_s[side] + _MARGIN_S,
                text=speech.transcript,
                defect=defect,
            )
        )
        pieces.append((side, round(start_s * SAMPLE_RATE_HZ), speech.samples))
        on_utterance()
    num_samples = round((max(ends_s.values()) + quiet_s) * SAMPLE_RATE_HZ)
    lines = [_line(side, num_samples, pieces, rng) for side in CHANNELS]
    return Call(name=name, samples=np.stack(lines, axis=1), turns=tuple(turns))


def _line(
    side: str,
    num_samples: int,
    pieces: Sequence[tuple[str, int, FloatArray]],
    rng: np.random.Generator,
) -> npt.NDArray[np.int16]:
    """The channel of one side: int16 (n,) at 8 kHz."""
    channel = np.zeros(num_samples, dtype=np.float32)
    for speaker, first, samples in pieces:
        if speaker == side:
            channel[first : first + samples.size] = samples
    line = add_noise(telephone(channel, SAMPLE_RATE_HZ), rng.uniform(12.0, 30.0), rng)
    resampled: FloatArray = soxr.resample(
        scale_to_peak(line, rng.uniform(0.4, 0.8)), SAMPLE_RATE_HZ, LINE_RATE_HZ
    )
    return pcm16(resampled)
