from dataclasses import replace

import numpy as np
import pytest
import soundfile

from benchmarks.gpu.speech import windows_of
from storage.errors import UserError


def test_synthetic_windows_are_the_same_at_every_call(setup):
    first, second = windows_of(setup, 128_000), windows_of(setup, 128_000)
    assert len(first) == setup.num_windows
    for one, other in zip(first, second, strict=True):
        assert one.id == other.id
        np.testing.assert_array_equal(one.samples, other.samples)


def test_audio_files_are_cut_into_windows(setup, tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32)
    for name in ("b.flac", "a.wav"):
        soundfile.write(tmp_path / name, noise, 16_000)
    (tmp_path / "notes.txt").write_text("no audio")
    windows = windows_of(replace(setup, audio=tmp_path), 32_000)
    # the rest of each file is shorter than a second
    assert [len(window.samples) for window in windows] == [32_000, 32_000]
    assert np.abs(windows[0].samples - noise[:32_000]).max() < 1e-3
    assert len(windows_of(replace(setup, audio=tmp_path, num_windows=1), 32_000)) == 1


def test_a_folder_without_audio_is_refused(setup, tmp_path):
    with pytest.raises(UserError, match="no audio"):
        windows_of(replace(setup, audio=tmp_path), 32_000)
