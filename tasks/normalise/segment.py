"""Where speech is in a recording that comes without times, by voice activity.

Knows samples; knows no row and no file. The model is Silero's, an ONNX file that comes with its
package, so nothing is fetched and nothing unpickled.
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

_FRAME_SAMPLES: Final = 512  # what the model judges at once
_BLOCK_SAMPLES: Final = _FRAME_SAMPLES << 15  # 17 minutes: 64 MB as floats
_MIN_SPEECH_S: Final = 0.25
_SAME_SOUND: Final = 0.9
_LOADING = Lock()


def speech_stretches(samples: Pcm, settings: Normalise) -> list[tuple[int, int]]:
    """Where speech is: (start, end) in samples, in order, none over `settings.max_duration_s`.

    `samples` is (frames,) int16 at 16 kHz. A stretch ends in a pause of more than
    `voice_activity.max_pause_s`; one that would be too long ends in the last pause of more than
    0.1 s before that, and inside a word only where there is none. Less than 0.25 s is no speech.
    Raises `UserError` where the voice-activity package is missing.
    """
    probabilities = _speech_probabilities(samples)
    from silero_vad import get_speech_timestamps_from_probs

    wanted = settings.voice_activity
    found = get_speech_timestamps_from_probs(
        probabilities,
        sampling_rate=SAMPLE_RATE_HZ,
        threshold=wanted.threshold,
        min_speech_duration_ms=round(_MIN_SPEECH_S * 1000),
        max_speech_duration_s=settings.max_duration_s,
        min_silence_duration_ms=round(wanted.max_pause_s * 1000),
        speech_pad_ms=round(wanted.pad_s * 1000),
        # the longest pause may be an early one, and what is left then starts with all later ones
        # forgotten
        use_max_poss_sil_at_max_speech=False,
        audio_length_samples=len(samples),
    )
    return [(int(one["start"]), int(one["end"])) for one in found]


def channels_apart(samples: Pcm) -> list[int]:
    """The channels that carry a sound of their own: both sides of a call, one of stereo music.

    `samples` is (frames, channels) int16. A channel is left out where it is much the same as an
    earlier one: their normalised correlation is 0.9 or more, of whatever sign.
    """
    apart: list[int] = []
    for channel in range(samples.shape[1]):
        if all(_likeness(samples, channel, other) < _SAME_SOUND for other in apart):
            apart.append(channel)
    return apart


def _likeness(samples: Pcm, first: int, second: int) -> float:
    both = np.zeros((2, 2))
    for start in range(0, len(samples), _BLOCK_SAMPLES):
        block = samples[start : start + _BLOCK_SAMPLES, [first, second]].astype(np.float32)
        both += block.T @ block
    energy = float(both[0, 0] * both[1, 1])
    # two silent channels are alike
    return abs(float(both[0, 1])) / energy**0.5 if energy else float(not both.any())


def _speech_probabilities(samples: Pcm) -> list[float]:
    """One for each 32 ms, the last one's frame filled with silence."""
    model = _model()
    found: list[float] = []
    for start in range(0, len(samples), _BLOCK_SAMPLES):
        block = samples[start : start + _BLOCK_SAMPLES].astype(np.float32) / 32768.0
        found += model.audio_forward(block).tolist()
    return found


def _model() -> "SileroVADSequence":
    with _LOADING:  # so that threads that start together load one copy
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
            f"normalise.segment is vad, and the package for it is missing ({error});"
            " pip install 'distillery[vad]', or set normalise.segment to none"
        ) from error
    finally:
        # the package sets it to 1 for the whole process, and the teacher may run in it
        torch.set_num_threads(num_threads)
    return model
