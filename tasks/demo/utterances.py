"""The utterances of the demo corpora, and what is wrong with a documented few of them.

Knows speech and its faults; knows no archive format.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from tasks.demo.acoustics import add_noise, scale_to_peak, telephone
from tasks.demo.grammar import sentence
from tasks.demo.voices import SAMPLE_RATE_HZ, synthesise, voice_of_speaker

FloatArray = npt.NDArray[np.float32]

MIN_DURATION_S, MAX_DURATION_S = 1.0, 6.0
# Longer than the 8 s that the demo teacher hears at once.
OVER_LONG_S = 9.0
# One utterance in ten is hard to hear, so that the teacher makes mistakes worth filtering.
HARD_SHARE = 0.10
WRONG_TRANSCRIPT_EVERY = 40


class Defect(Enum):
    """What is wrong with an utterance of a training part. Evaluation parts have no defects."""

    UNREADABLE_AUDIO = "the audio exists and cannot be decoded"
    MISSING_AUDIO = "the transcript has a line, the audio does not exist"
    EMPTY_TRANSCRIPT = "the transcript has no words"
    OVER_LONG = "the utterance is longer than the teacher's window"
    WRONG_TRANSCRIPT = "the transcript is that of another sentence"


def defect_at(index: int) -> Defect | None:
    """The defect of training utterance `index`, counted from 0.

    One each at 2, 4, 6 and 8, and a wrong transcript at 10, 50, 90 and so on.
    """
    fixed = {
        2: Defect.UNREADABLE_AUDIO,
        4: Defect.MISSING_AUDIO,
        6: Defect.EMPTY_TRANSCRIPT,
        8: Defect.OVER_LONG,
    }
    if index % WRONG_TRANSCRIPT_EVERY == 10:
        return Defect.WRONG_TRANSCRIPT
    return fixed.get(index)


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """What somebody said and what the corpus claims.

    `samples`: float32 (n,) mono at 16 kHz; `transcript`: lower case, maybe empty.
    """

    samples: FloatArray
    transcript: str
    defect: Defect | None

    @property
    def duration_s(self) -> float:
        """Length of the recording in seconds."""
        return self.samples.size / SAMPLE_RATE_HZ


def utterance(speaker_id: str, rng: np.random.Generator, defect: Defect | None) -> Utterance:
    """What a speaker says next, clean, 1 to 6 s long, or over 9 s with `Defect.OVER_LONG`.

    The archive's writer sees to `UNREADABLE_AUDIO` and `MISSING_AUDIO`, which are facts of files.
    """
    text, samples = (
        _over_long(speaker_id, rng) if defect is Defect.OVER_LONG else _sentence_of(speaker_id, rng)
    )
    transcript = text
    if defect is Defect.EMPTY_TRANSCRIPT:
        transcript = ""
    elif defect is Defect.WRONG_TRANSCRIPT:
        transcript = _unlike(text, rng)
    return Utterance(samples=samples, transcript=transcript, defect=defect)


def close_recording(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A single utterance as recorded: mostly quiet, `HARD_SHARE` on a noisy telephone."""
    if rng.random() < HARD_SHARE:
        recorded = add_noise(telephone(samples, SAMPLE_RATE_HZ), rng.uniform(0.0, 6.0), rng)
    else:
        recorded = add_noise(samples, rng.uniform(20.0, 40.0), rng)
    return scale_to_peak(recorded, rng.uniform(0.2, 0.9))


def pcm16(samples: FloatArray) -> npt.NDArray[np.int16]:
    """float32 in [-1, 1] to 16-bit integers, clipped. Shape (n,) to (n,)."""
    return np.asarray(np.round(np.clip(samples, -1.0, 1.0) * 32767.0), dtype=np.int16)


def _sentence_of(speaker_id: str, rng: np.random.Generator) -> tuple[str, FloatArray]:
    voice = voice_of_speaker(speaker_id)
    while True:
        text = sentence(rng)
        samples = synthesise(text, voice)
        if MIN_DURATION_S <= samples.size / SAMPLE_RATE_HZ <= MAX_DURATION_S:
            return text, samples


def _over_long(speaker_id: str, rng: np.random.Generator) -> tuple[str, FloatArray]:
    pause = np.zeros(SAMPLE_RATE_HZ // 5, dtype=np.float32)
    texts: list[str] = []
    pieces: list[FloatArray] = []
    while sum(piece.size for piece in pieces) < OVER_LONG_S * SAMPLE_RATE_HZ:
        text, samples = _sentence_of(speaker_id, rng)
        texts.append(text)
        pieces += [samples, pause]
    return " ".join(texts), np.concatenate(pieces[:-1])


def _unlike(text: str, rng: np.random.Generator) -> str:
    """A sentence with at most a third of its words in `text`: no filter should keep it."""
    said = set(text.split())
    while True:
        other = sentence(rng)
        words = other.split()
        if 3 * sum(word in said for word in words) <= len(words):
            return other
