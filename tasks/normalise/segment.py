"""Finds the speech in recordings without annotated times, by voice activity detection (VAD).

Works on samples only, not on rows or files. The model is Silero VAD, an ONNX file that is part of
its package: nothing is downloaded or unpickled.
"""

import functools
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np

from configs.schema import Normalise
from storage.errors import UserError
from tasks.audio import SAMPLE_RATE_HZ, Pcm

if TYPE_CHECKING:
    from silero_vad import SileroVADSequence

_FRAME_SAMPLES: Final = 512  # the frame size of the model
_BLOCK_SAMPLES: Final = _FRAME_SAMPLES << 15  # 17 minutes: 64 MB as floats
_MIN_SPEECH_S: Final = 0.25
_MAX_CORRELATION: Final = 0.9
_LOADING = Lock()


def speech_segments(samples: Pcm, settings: Normalise) -> list[tuple[int, int]]:
    """Speech segments as (start, end) in samples, in order, up to `settings.max_duration_s` long.

    `samples` is (frames,) int16 at 16 kHz. A segment ends at a pause longer than
    `voice_activity.max_pause_s`. If it would exceed the maximum, it ends at the last pause of more
    than 0.1 s before that, or at the maximum if there is none. Speech under 0.25 s is ignored.
    Raises `UserError` if silero-vad is not installed.
    """
    probabilities = _speech_probabilities(samples)
    from silero_vad import get_speech_timestamps_from_probs

    vad = settings.voice_activity
    segments = get_speech_timestamps_from_probs(
        probabilities,
        sampling_rate=SAMPLE_RATE_HZ,
        threshold=vad.threshold,
        min_speech_duration_ms=round(_MIN_SPEECH_S * 1000),
        max_speech_duration_s=settings.max_duration_s,
        min_silence_duration_ms=round(vad.max_pause_s * 1000),
        speech_pad_ms=round(vad.pad_s * 1000),
        # cut at the last pause, not the longest: after an early cut, the package forgets the later
        # pauses
        use_max_poss_sil_at_max_speech=False,
        audio_length_samples=len(samples),
    )
    return [(int(segment["start"]), int(segment["end"])) for segment in segments]


def distinct_channels(samples: Pcm) -> list[int]:
    """The channels with different content: both sides of a call, one channel of a stereo mix.

    `samples` is (frames, channels) int16. A channel is skipped if the absolute value of its
    normalised correlation with an earlier one is 0.9 or more.
    """
    distinct: list[int] = []
    for channel in range(samples.shape[1]):
        if all(_correlation(samples, channel, other) < _MAX_CORRELATION for other in distinct):
            distinct.append(channel)
    return distinct


def _correlation(samples: Pcm, first: int, second: int) -> float:
    products = np.zeros((2, 2))
    for start in range(0, len(samples), _BLOCK_SAMPLES):
        block = samples[start : start + _BLOCK_SAMPLES, [first, second]].astype(np.float32)
        products += block.T @ block
    energy = float(products[0, 0] * products[1, 1])
    # two silent channels count as equal
    return abs(float(products[0, 1])) / energy**0.5 if energy else float(not products.any())


def _speech_probabilities(samples: Pcm) -> list[float]:
    """One probability for each frame of 32 ms; the last frame is padded with silence."""
    model = _model()
    probabilities: list[float] = []
    for start in range(0, len(samples), _BLOCK_SAMPLES):
        block = samples[start : start + _BLOCK_SAMPLES].astype(np.float32) / 32768.0
        probabilities += model.audio_forward(block).tolist()
    return probabilities


def _model() -> "SileroVADSequence":
    with _LOADING:  # threads that start together load one copy
        return _loaded()


@functools.cache
def _loaded() -> "SileroVADSequence":
    import torch

    num_threads = torch.get_num_threads()
    try:
        from silero_vad import load_silero_vad

        model: SileroVADSequence = load_silero_vad(sequence=True)
    except ImportError as error:
        raise UserError(
            f"normalise.segment is vad, but silero-vad is not installed ({error}); run:"
            " pip install 'silero-vad[onnx-cpu]', or set normalise.segment to none"
        ) from error
    finally:
        # the package sets it to 1 for the whole process, in which the teacher may run too
        torch.set_num_threads(num_threads)
    return model
