"""Finds the speech in recordings without annotated times, by voice activity detection (VAD).

Works on samples only, not on rows or files.
"""

from typing import Final

import numpy as np

from configs.schema import Normalise
from tasks.audio import SAMPLE_RATE_HZ, Pcm
from tasks.audio.voice_activity import speech_probabilities

_BLOCK_SAMPLES: Final = 1 << 24  # 17 minutes: 64 MB as floats
_MIN_SPEECH_S: Final = 0.25
_MAX_CORRELATION: Final = 0.9


def speech_segments(samples: Pcm, settings: Normalise) -> list[tuple[int, int]]:
    """Speech segments as (start, end) in samples, in order, up to `settings.max_duration_s` long.

    `samples` is (frames,) int16 at 16 kHz. A segment ends at a pause longer than
    `voice_activity.max_pause_s`. If it would exceed the maximum, it ends at the last pause of more
    than 0.1 s before that, or at the maximum if there is none. Speech under 0.25 s is ignored.
    """
    probabilities = speech_probabilities(samples)
    # the package imports torch, which takes seconds
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
