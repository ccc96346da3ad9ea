"""Words that a model writes where nobody speaks: on silence, and on noise alone."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np

from configs.evaluate import Noise
from configs.schema import Label
from storage.outcome import Rejected
from tasks.audio import SAMPLE_RATE_HZ, Samples
from tasks.evaluate.findings import NonSpeech
from tasks.evaluate.noise.draws import gaussian
from tasks.evaluate.noise.folder import NoiseFolder
from tasks.evaluate.noise.white import WHITE
from tasks.evaluate.short_form import evaluation_settings
from tasks.whisper.engine import AudioWindow, Engine
from tasks.whisper.transcribe import transcribe_all

SILENCE: Final = "silence"

_LENGTHS: Final = (1 / 6, 1 / 3, 2 / 3, 1)
"""Of the window: 5, 10, 20 and 30 s for Whisper."""
_LEVELS_DB: Final[Mapping[str, tuple[float, ...]]] = {
    SILENCE: (-np.inf, -80.0),
    WHITE: (-50.0, -30.0),
}
"""RMS amplitude of Gaussian noise relative to full scale: digital silence, a silent room, hiss."""
_MAX_CLIPS: Final = 64
"""Recordings of each folder of noise."""

_Words = Mapping[str, list[int]]


def measure_non_speech(
    engines: Mapping[str, Engine],
    noise: Noise | None,
    settings: Label,
    normalise: Callable[[str], str],
) -> tuple[NonSpeech, ...]:
    """Words on windows without speech, for each model by name and each kind of window.

    All models transcribe the same windows (`non_speech_windows`), no longer than the shortest of
    their windows, with the settings of the evaluation: greedily, without fallback and whatever
    their probability of no speech. Words are those of the normalised text. Raises as
    `transcribe_all` and `non_speech_windows`.
    """
    window_samples = min(engine.window_samples for engine in engines.values())
    windows = non_speech_windows(noise, window_samples)
    return tuple(
        NonSpeech(
            model=model,
            kind=kind,
            num_windows=len(words),
            num_windows_with_words=sum(num > 0 for num in words),
            num_words=sum(words),
            hours=sum(map(len, windows[kind])) / SAMPLE_RATE_HZ / 3600,
        )
        for model, engine in engines.items()
        for kind, words in _num_words(engine, windows, settings, normalise).items()
    )


def non_speech_windows(
    noise: Noise | None, window_samples: int
) -> Mapping[str, tuple[Samples, ...]]:
    """Windows without speech by kind, (samples,) float32 at 16 kHz, at most `window_samples` each.

    `silence`: a sixth, a third, two thirds and all of a window, as digital silence and with noise
    at -80 dB of full scale. `white`: the same lengths with noise at -50 and -30 dB. Folders: up to
    64 recordings as they are. Without `noise` silence alone; never babble, which is speech. Raises
    `UserError` for a folder that cannot be read.
    """
    seed = 0 if noise is None else noise.seed
    kinds = [SILENCE, *(kind for kind in (noise.kinds if noise else ()) if kind == WHITE)]
    found = {kind: tuple(_levelled(kind, seed, window_samples)) for kind in kinds}
    for kind, folder in (noise.folders if noise else {}).items():
        opened = NoiseFolder.of(kind, folder, seed)
        found[kind] = tuple(opened.clips(_MAX_CLIPS, window_samples))
    return found


def _levelled(kind: str, seed: int, window_samples: int) -> Iterator[Samples]:
    for level_db in _LEVELS_DB[kind]:
        for length in _LENGTHS:
            amplitude = np.float32(10 ** (level_db / 20))
            name = f"{level_db:g} dB, {length:.3f}"
            yield amplitude * gaussian(round(length * window_samples), seed, kind, name)


def _num_words(
    engine: Engine,
    windows: Mapping[str, tuple[Samples, ...]],
    settings: Label,
    normalise: Callable[[str], str],
) -> _Words:
    found: dict[str, list[int]] = {kind: [] for kind in windows}
    stream = (
        (kind, AudioWindow(f"{kind}/{number}", samples))
        for kind, of_kind in windows.items()
        for number, samples in enumerate(of_kind)
    )
    for item in transcribe_all(engine, stream, evaluation_settings(settings)):
        if not isinstance(item, Rejected):  # the stream has none
            kind, transcript = item
            found[kind].append(len(normalise(transcript.text).split()))
    return found
