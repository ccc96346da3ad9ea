"""Opus and FLAC files of the demo."""

import io

import numpy as np
import pytest
import soundfile

from tasks.demo.formats.flac import flac_file
from tasks.demo.formats.opus import opus_file
from tests.builders import sine

DURATION_S, FREQUENCY_HZ = 3.0, 440.0
SAMPLES = sine(DURATION_S, frequency_hz=FREQUENCY_HZ)


def test_opus_files_are_deterministic() -> None:
    assert opus_file(SAMPLES, 16_000) == opus_file(SAMPLES, 16_000)


def test_an_opus_file_has_the_audio_at_its_rate() -> None:
    with soundfile.SoundFile(io.BytesIO(opus_file(SAMPLES, 16_000))) as file:
        assert (file.format, file.subtype, file.samplerate, file.channels) == (
            "OGG",
            "OPUS",
            16_000,
            1,
        )
        decoded = file.read(dtype="int16")
    assert len(decoded) == len(SAMPLES)
    spectrum = np.abs(np.fft.rfft(decoded))
    assert np.argmax(spectrum) / DURATION_S == FREQUENCY_HZ
    assert np.std(decoded) == pytest.approx(np.std(SAMPLES), rel=0.1)


def test_a_flac_file_has_the_samples() -> None:
    decoded, rate_hz = soundfile.read(io.BytesIO(flac_file(SAMPLES, 16_000)), dtype="int16")
    assert rate_hz == 16_000 and np.array_equal(decoded, SAMPLES)
