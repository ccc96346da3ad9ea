import numpy as np
import pytest

from tasks.evaluate.noise.source import section

RAMP = np.arange(1, 11, dtype=np.float32)


def test_a_long_recording_is_cut_without_a_seam():
    found = [section(RAMP, place, 8).tolist() for place in (0.0, 0.4, 0.999)]
    assert found == [list(range(first, first + 8)) for first in (1, 2, 3)]


def test_a_short_recording_is_looped_from_a_place():
    assert section(RAMP, 0.75, 23).tolist() == [*range(8, 11), *range(1, 11), *range(1, 11)]


@pytest.mark.parametrize("num_samples", [3, 40, 100])
def test_a_section_is_never_digital_silence(num_samples):
    padded = np.concatenate((np.zeros(20), [0.5], np.zeros(19))).astype(np.float32)
    for place in np.linspace(0, 0.999, 50):
        found = section(padded, place, num_samples)
        assert len(found) == num_samples
        assert found.any()
