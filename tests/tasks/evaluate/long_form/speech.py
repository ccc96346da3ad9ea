"""Long recordings of the demo's synthetic speech, and the demo's teacher."""

import numpy as np
import pytest

from configs.schema import Teacher
from tasks.audio import SAMPLE_RATE_HZ, Samples
from tasks.demo.teaching.model import TEACHER_FOLDER
from tasks.demo.teaching.training_set import speech_window
from tasks.whisper.model import LoadedWhisper, load_whisper


def demo_teacher() -> LoadedWhisper:
    """The teacher of the demo, whose window has 8 s."""
    if not (TEACHER_FOLDER / "model.safetensors").is_file():
        pytest.skip("the demo teacher is not made yet")
    return load_whisper(Teacher(path=str(TEACHER_FOLDER)), "float32", "cpu")


def long_recording(speaker_id: str, duration_s: float, seed: int = 0) -> Samples:
    """Speech with pauses, (samples,) float32 at 16 kHz."""
    draw = np.random.default_rng(seed)
    num_samples = round(duration_s * SAMPLE_RATE_HZ)
    pieces: list[Samples] = []
    while sum(map(len, pieces)) < num_samples:
        pieces.append(speech_window(speaker_id, draw).samples)
    return np.concatenate(pieces)[:num_samples]
