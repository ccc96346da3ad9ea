"""Voice activity detection (VAD): how probable speech is in each frame of a recording.

The model is Silero VAD, an ONNX file that is part of its package: nothing is downloaded or
unpickled.
"""

import functools
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np

from tasks.audio.flac import Samples
from tasks.audio.pcm import SAMPLE_RATE_HZ, Pcm

if TYPE_CHECKING:
    from silero_vad import SileroVADSequence

FRAME_SAMPLES: Final = 512
"""The frame size of the model."""

_BLOCK_SAMPLES: Final = FRAME_SAMPLES << 15  # 17 minutes: 64 MB as floats
_INT16_SCALE: Final = 32_768.0
_MIN_PROBABILITY: Final = 0.5
_LOADING = Lock()


def speech_probabilities(samples: Pcm | Samples) -> list[float]:
    """One probability for each frame of 32 ms; the last frame is padded with silence.

    `samples` is (samples,) at 16 kHz, int16, or float32 from -1 to 1.
    """
    model = _model()
    scale = _INT16_SCALE if samples.dtype == np.int16 else 1.0
    probabilities: list[float] = []
    for start in range(0, len(samples), _BLOCK_SAMPLES):
        block = samples[start : start + _BLOCK_SAMPLES].astype(np.float32) / np.float32(scale)
        probabilities += model.audio_forward(block).tolist()
    return probabilities


def speech_s(samples: Pcm | Samples) -> float:
    """Seconds of speech: the frames that are speech with a probability of more than a half."""
    num_frames = sum(found > _MIN_PROBABILITY for found in speech_probabilities(samples))
    return num_frames * FRAME_SAMPLES / SAMPLE_RATE_HZ


def _model() -> "SileroVADSequence":
    with _LOADING:  # threads that start together load one copy
        return _loaded()


@functools.cache
def _loaded() -> "SileroVADSequence":
    import torch
    from silero_vad import load_silero_vad

    num_threads = torch.get_num_threads()
    try:
        model: SileroVADSequence = load_silero_vad(sequence=True)
    finally:
        # the package sets it to 1 for the whole process, in which the teacher may run too
        torch.set_num_threads(num_threads)
    return model
