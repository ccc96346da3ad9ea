"""Size and speed of two models, measured on the same machine and the same speech."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Final

from configs.schema import Label
from tasks.audio import SAMPLE_RATE_HZ, Samples
from tasks.evaluate.shard import evaluation_settings
from tasks.whisper.engine import AudioWindow, Engine
from tasks.whisper.model import LoadedWhisper
from tasks.whisper.transcribe import transcribe_all

_NUM_WARM_UP: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Duration of each round of both models, and the speech that a round transcribes."""

    teacher_rounds_s: tuple[float, ...]
    student_rounds_s: tuple[float, ...]
    audio_s: float

    @property
    def teacher_s(self) -> float:
        """The median round of the teacher."""
        return median(self.teacher_rounds_s)

    @property
    def student_s(self) -> float:
        """The median round of the student."""
        return median(self.student_rounds_s)

    @property
    def relative_speed(self) -> float:
        """Speed of the student relative to the teacher, as in the paper's table 5."""
        return self.teacher_s / self.student_s


def compare_speed(
    teacher: Engine,
    student: Engine,
    waveforms: Sequence[Samples],
    settings: Label,
    *,
    num_rounds: int,
) -> Timing:
    """Time both models on the same `waveforms`, from waveforms to text, features included.

    Each waveform is (samples,) float32 at 16 kHz, at most as long as the windows of both. The
    models alternate, in changing order, so that a slowdown of the machine affects both; an untimed
    warm-up precedes. Raises as `transcribe_all`.
    """
    models = (teacher, student)
    settings = evaluation_settings(settings)
    windows = [AudioWindow(str(index), waveform) for index, waveform in enumerate(waveforms)]
    for model in models:
        _seconds(model, windows[:_NUM_WARM_UP], settings)
    rounds_s: tuple[list[float], list[float]] = ([], [])
    for round_number in range(num_rounds):
        order = (0, 1) if round_number % 2 == 0 else (1, 0)
        for which in order:
            rounds_s[which].append(_seconds(models[which], windows, settings))
    return Timing(
        teacher_rounds_s=tuple(rounds_s[0]),
        student_rounds_s=tuple(rounds_s[1]),
        audio_s=sum(len(window.samples) for window in windows) / SAMPLE_RATE_HZ,
    )


def _seconds(engine: Engine, windows: Sequence[AudioWindow], settings: Label) -> float:
    """Results are text on the host, so no device work is pending at the end."""
    started_s = perf_counter()
    for _ in transcribe_all(engine, ((None, window) for window in windows), settings):
        pass
    return perf_counter() - started_s


def num_parameters(whisper: LoadedWhisper) -> int:
    """The number of parameters, frozen ones included; tied weights count once."""
    return sum(parameter.numel() for parameter in whisper.model.parameters())


def decoder_layers(whisper: LoadedWhisper) -> int:
    """The number of decoder layers, which a student has fewer of than its teacher."""
    return len(whisper.model.model.decoder.layers)
