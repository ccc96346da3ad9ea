"""How large and how fast two models are, side by side on the same machine and the same speech."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Final

from configs.schema import Label
from tasks.audio import SAMPLE_RATE_HZ, Samples
from tasks.evaluate.shard import plainly
from tasks.whisper.engine import AudioWindow, Engine
from tasks.whisper.teacher import Transcriber
from tasks.whisper.transcribe import transcribe_all

_NUM_WARM_UP: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """What each round took, of teacher and student, and how much speech a round transcribes."""

    teacher_rounds_s: tuple[float, ...]
    student_rounds_s: tuple[float, ...]
    audio_s: float

    @property
    def teacher_s(self) -> float:
        """The teacher's median round."""
        return median(self.teacher_rounds_s)

    @property
    def student_s(self) -> float:
        """The student's median round."""
        return median(self.student_rounds_s)

    @property
    def relative_speed(self) -> float:
        """How many times faster the student is, as in the paper's table 5."""
        return self.teacher_s / self.student_s


def time_side_by_side(
    teacher: Engine,
    student: Engine,
    waveforms: Sequence[Samples],
    settings: Label,
    *,
    num_rounds: int,
) -> Timing:
    """Seconds from waveforms to text, features included, for both models on the same `waveforms`.

    Each waveform is (samples,) float32 at 16 kHz; those that are longer than a window are left out.
    The models take turns, and who is first changes from round to round, so that a machine that
    slows down slows both; some are transcribed once beforehand and not timed. Raises as
    `transcribe_all`.
    """
    models = (teacher, student)
    settings = plainly(settings)
    longest = min(model.window_samples for model in models)
    sounds = [
        AudioWindow(str(place), waveform)
        for place, waveform in enumerate(waveforms)
        if len(waveform) <= longest
    ]
    for model in models:
        _seconds(model, sounds[:_NUM_WARM_UP], settings)
    rounds_s: tuple[list[float], list[float]] = ([], [])
    for round_number in range(num_rounds):
        order = (0, 1) if round_number % 2 == 0 else (1, 0)
        for place in order:
            rounds_s[place].append(_seconds(models[place], sounds, settings))
    return Timing(
        teacher_rounds_s=tuple(rounds_s[0]),
        student_rounds_s=tuple(rounds_s[1]),
        audio_s=sum(len(sound.samples) for sound in sounds) / SAMPLE_RATE_HZ,
    )


def _seconds(engine: Engine, sounds: Sequence[AudioWindow], settings: Label) -> float:
    """The text is in the memory of the host at the end, so no device is still at work."""
    started_s = perf_counter()
    for _ in transcribe_all(engine, ((None, sound) for sound in sounds), settings):
        pass
    return perf_counter() - started_s


def num_parameters(transcriber: Transcriber) -> int:
    """Parameters of the whole model, frozen ones too; tied weights count once."""
    return sum(parameter.numel() for parameter in transcriber.model.parameters())


def decoder_layers(transcriber: Transcriber) -> int:
    """What tells a student from its teacher."""
    return len(transcriber.model.model.decoder.layers)
