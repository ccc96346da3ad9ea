"""The training and evaluation data of the demo teacher: synthetic windows of 8 s."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from transformers import WhisperFeatureExtractor

from tasks.demo.speech.acoustics import (
    add_noise,
    coloured_noise,
    reverberate,
    scale_to_peak,
    telephone,
)
from tasks.demo.speech.grammar import sentence
from tasks.demo.speech.voices import SAMPLE_RATE_HZ, synthesise, voice_of_speaker

WINDOW_S = 8
NUM_WINDOW_SAMPLES = WINDOW_S * SAMPLE_RATE_HZ
MEL_FRAMES_PER_S = 100
MAX_UTTERANCES = 4
SHORT_WINDOW_S = 4
NO_SPEECH_SHARE = 0.04
# Share of single utterances among windows with speech; the others are filled.
SINGLE_SHARE = 0.25

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One utterance inside a window; times in seconds from the start of the window."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Window:
    """The input of a Whisper with a window of 8 s.

    `samples`: float32 (128000,) at 16 kHz, padded with zeros. Without segments there is no speech.
    """

    samples: FloatArray
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        """The text of all segments, separated by spaces."""
        return " ".join(segment.text for segment in self.segments)


@dataclass(frozen=True, kw_only=True)
class FeatureSet:
    """The features and segments of windows.

    `features`: float16 (windows, 80, 800 or fewer), Whisper's log-mel, 100 frames per second;
    `segments`: the segments of each window.
    """

    features: npt.NDArray[np.float16]
    segments: tuple[tuple[Segment, ...], ...]

    def __len__(self) -> int:
        return len(self.segments)

    def cut(self, duration_s: float) -> "FeatureSet":
        """The windows without the frames after `duration_s`, which must not contain speech."""
        return FeatureSet(
            features=self.features[:, :, : round(duration_s * MEL_FRAMES_PER_S)].copy(),
            segments=self.segments,
        )


def feature_extractor() -> WhisperFeatureExtractor:
    """Whisper's feature extractor for windows of 8 s: 80 mel bands, 100 frames per second."""
    extractor = WhisperFeatureExtractor.from_dict({"chunk_length": WINDOW_S})
    return cast("WhisperFeatureExtractor", extractor)  # the declared type includes a tuple


def speech_window(
    speaker_id: str, rng: np.random.Generator, max_utterances: int = MAX_UTTERANCES
) -> Window:
    """One utterance of a speaker, or as many as fit up to `max_utterances`.

    Some have pauses in between; the acoustic condition is random.
    """
    voice = voice_of_speaker(speaker_id)
    num_wanted = 1 if rng.random() < SINGLE_SHARE else max_utterances
    samples = np.zeros(NUM_WINDOW_SAMPLES, dtype=np.float32)
    segments: list[Segment] = []
    position = int(rng.uniform(0.0, 0.5) * SAMPLE_RATE_HZ) if rng.random() < 0.3 else 0
    while len(segments) < num_wanted:
        text = sentence(rng)
        speech = synthesise(text, voice)
        end = position + speech.size
        if end > NUM_WINDOW_SAMPLES:
            if segments:
                break
            position = 0
            continue
        samples[position:end] = speech
        segments.append(
            Segment(start_s=position / SAMPLE_RATE_HZ, end_s=end / SAMPLE_RATE_HZ, text=text)
        )
        position = end + (int(rng.uniform(0.05, 0.6) * SAMPLE_RATE_HZ) if rng.random() < 0.6 else 0)
    num_voiced = round(segments[-1].end_s * SAMPLE_RATE_HZ)
    return Window(samples=_recorded(samples, num_voiced, rng), segments=tuple(segments))


def no_speech_window(rng: np.random.Generator) -> Window:
    """A window without segments: silence, noise, or noise in a part of the window."""
    samples = np.zeros(NUM_WINDOW_SAMPLES, dtype=np.float32)
    if rng.random() < 0.75:
        start, stop = sorted(int(bound) for bound in rng.integers(0, NUM_WINDOW_SAMPLES, size=2))
        if rng.random() < 0.6:
            start, stop = 0, NUM_WINDOW_SAMPLES
        level = 10 ** rng.uniform(-4.0, -1.0)
        samples[start:stop] = level * coloured_noise(NUM_WINDOW_SAMPLES, rng)[start:stop]
    return Window(samples=samples, segments=())


def training_window(speaker_prefix: str, num_speakers: int, rng: np.random.Generator) -> Window:
    """A window of one of the speakers `{speaker_prefix}{number}`.

    A share of `NO_SPEECH_SHARE` has no speech.
    """
    if rng.random() < NO_SPEECH_SHARE:
        return no_speech_window(rng)
    return speech_window(f"{speaker_prefix}{int(rng.integers(num_speakers))}", rng)


def short_window(speaker_prefix: str, num_speakers: int, rng: np.random.Generator) -> Window:
    """Like `training_window`, but with one utterance that ends within `SHORT_WINDOW_S`."""
    if rng.random() < NO_SPEECH_SHARE:
        return no_speech_window(rng)
    while True:
        window = speech_window(f"{speaker_prefix}{int(rng.integers(num_speakers))}", rng, 1)
        if window.segments[-1].end_s <= SHORT_WINDOW_S:
            return window


def render_features(
    make_window: Callable[[np.random.Generator], Window],
    num_windows: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> FeatureSet:
    """Render windows and keep only their features: 128 kB per window in float16."""
    extractor = feature_extractor()
    rng = np.random.default_rng(seed)
    features = np.empty(
        (num_windows, extractor.feature_size, extractor.nb_max_frames), dtype=np.float16
    )
    segments: list[tuple[Segment, ...]] = []
    for index in range(num_windows):
        window = make_window(rng)
        batch = extractor(window.samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="np")
        features[index] = batch["input_features"][0]
        segments.append(window.segments)
        if progress is not None:
            progress(index + 1, num_windows)
    return FeatureSet(features=features, segments=tuple(segments))


def _recorded(samples: FloatArray, num_voiced: int, rng: np.random.Generator) -> FloatArray:
    """Apply a telephone line, a room or noise, each in a share of the windows."""
    recorded = samples[: num_voiced if rng.random() < 0.5 else samples.size]
    condition = rng.random()
    if condition < 0.15:
        recorded = telephone(recorded, SAMPLE_RATE_HZ)
    elif condition < 0.35:
        recorded = reverberate(
            recorded, SAMPLE_RATE_HZ, rng.uniform(0.1, 0.5), rng.uniform(0.02, 0.3), rng
        )
    if rng.random() < 0.35:
        recorded = add_noise(recorded, rng.uniform(8.0, 30.0), rng)
    padded = np.zeros_like(samples)
    padded[: recorded.size] = scale_to_peak(recorded, rng.uniform(0.1, 0.95))
    return padded
