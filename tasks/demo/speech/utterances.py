"""The utterances of the demo corpora and their documented defects.

Knows speech and defects, not archive formats.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from tasks.demo.speech.acoustics import add_noise, scale_to_peak, telephone
from tasks.demo.speech.grammar import sentence
from tasks.demo.speech.voices import SAMPLE_RATE_HZ, synthesise, voice_of_speaker

FloatArray = npt.NDArray[np.float32]

MIN_DURATION_S, MAX_DURATION_S = 1.0, 6.0
# Longer than the 8 s window of the demo teacher.
OVER_LONG_S = 9.0
# Share of noisy utterances, in which the teacher makes mistakes worth filtering.
HARD_SHARE = 0.10
WRONG_TRANSCRIPT_EVERY = 40


class Defect(Enum):
    """A defect of a training utterance. Evaluation parts have no defects."""

    UNREADABLE_AUDIO = "the audio exists but cannot be decoded"
    MISSING_AUDIO = "the audio is missing, the transcript has a line"
    EMPTY_TRANSCRIPT = "the transcript has no words"
    OVER_LONG = "the utterance is longer than the teacher's window"
    WRONG_TRANSCRIPT = "the transcript is another sentence"


def defect_at(index: int) -> Defect | None:
    """The defect of training utterance `index`, from 0.

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
    """Synthetic speech and its transcript in the corpus.

    `samples`: float32 (n,) mono at 16 kHz; `transcript`: lower case, may be empty or wrong.
    """

    samples: FloatArray
    transcript: str
    defect: Defect | None

    @property
    def duration_s(self) -> float:
        """Length of the recording in seconds."""
        return self.samples.size / SAMPLE_RATE_HZ


def utterance(speaker_id: str, rng: np.random.Generator, defect: Defect | None) -> Utterance:
    """A clean utterance, 1 to 6 s long, or over 9 s with `Defect.OVER_LONG`.

    `UNREADABLE_AUDIO` and `MISSING_AUDIO` are applied by the writer of the files.
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
    """An utterance with low noise; a share of `HARD_SHARE` is from a noisy telephone."""
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
    """A sentence with at most a third of its words in `text`, so that filters reject it."""
    original = set(text.split())
    while True:
        other = sentence(rng)
        words = other.split()
        if 3 * sum(word in original for word in words) <= len(words):
            return other
