import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.evaluate.long_form.pauses import cut_at_pauses


@settings(deadline=None)  # a busy machine is not an error
@given(num_samples=st.integers(0, 40_000), window=st.integers(1, 9_000), seed=st.integers(0, 9))
def test_segments_are_consecutive_fit_the_window_and_cover_all(num_samples, window, seed):
    samples = np.random.default_rng(seed).normal(size=num_samples).astype(np.float32)
    if num_samples > 500 * window:
        return
    pieces = cut_at_pauses(samples, window)
    starts, ends = zip(*pieces, strict=True)
    assert (starts[0], ends[-1]) == (0, num_samples)
    assert starts[1:] == ends[:-1]
    assert all(end - start <= window for start, end in pieces)
    assert all(3 * (end - start) >= 2 * window - 3 for start, end in pieces[:-1])


def test_cuts_are_at_pauses_in_the_last_third():
    samples = np.random.default_rng(1).normal(size=16_000 * 50).astype(np.float32)
    early, pause = slice(16_000 * 10, 16_000 * 11), slice(16_000 * 24, 16_000 * 24 + 4_000)
    samples[early] = 0  # before the last third of 30 s: ignored
    samples[pause] *= 0.01
    (first, second) = cut_at_pauses(samples, 16_000 * 30)
    assert pause.start <= first[1] - 1_280 and first[1] + 1_280 <= pause.stop
    assert second == (first[1], len(samples))


def test_silence_is_cut_near_the_end_of_the_window():
    (first, _) = cut_at_pauses(np.zeros(16_000 * 31, dtype=np.float32), 16_000 * 30)
    assert first == (0, 16_000 * 30 - 1_280)


def test_a_recording_that_fits_is_not_cut():
    assert cut_at_pauses(np.zeros(100, dtype=np.float32), 100) == [(0, 100)]


def test_a_window_without_samples_is_refused():
    with pytest.raises(ValueError, match="a window of 0 samples"):
        cut_at_pauses(np.zeros(100, dtype=np.float32), 0)
