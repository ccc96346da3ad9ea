"""The windows that the checks transcribe: synthetic speech, or audio files."""

from pathlib import Path

import numpy as np

from benchmarks.gpu.check import Setup
from storage.errors import UserError
from tasks.audio import SAMPLE_RATE_HZ, decode, to_whisper_rate
from tasks.whisper.engine import AudioWindow

_SUFFIXES = {".flac", ".wav", ".ogg", ".opus", ".mp3"}


def windows_of(setup: Setup, window_samples: int) -> list[AudioWindow]:
    """`num_windows` windows, fewer if the audio is shorter; the same at every call."""
    if setup.audio is None:
        return _synthetic(setup.num_windows)
    return _recorded(setup.audio, setup.num_windows, window_samples)


def _synthetic(num_windows: int) -> list[AudioWindow]:
    from tasks.demo.teaching.training_set import speech_window  # which needs the speech synthesiser

    draw = np.random.default_rng(0)
    return [
        AudioWindow(f"w{index:04d}", speech_window(f"unheard{index % 20}", draw).samples)
        for index in range(num_windows)
    ]


def _recorded(folder: Path, num_windows: int, window_samples: int) -> list[AudioWindow]:
    """Files in order of their paths, each cut into windows."""
    found: list[AudioWindow] = []
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    for path in files:
        pcm = to_whisper_rate(decode(path.read_bytes()))
        samples = pcm.astype(np.float32) / np.float32(32_768)
        for start in range(0, len(samples), window_samples):
            part = samples[start : start + window_samples]
            if len(part) >= SAMPLE_RATE_HZ:
                found.append(AudioWindow(f"w{len(found):04d}", part))
            if len(found) == num_windows:
                return found
    if not found:
        raise UserError(f"{folder} has no audio of a second or more; expected {sorted(_SUFFIXES)}")
    return found
