import numpy as np
import pytest

from tasks.evaluate.noise.white import WhiteNoise
from tests.tasks.evaluate.noise.spoken import spoken


def test_noise_depends_on_seed_and_utterance():
    source = WhiteNoise(seed=0)
    noise = source.noise_for(spoken("a"))
    assert len(noise) == 16_000
    assert np.array_equal(noise, WhiteNoise(seed=0).noise_for(spoken("a", speaker="bob")))
    for other in (source.noise_for(spoken("b")), WhiteNoise(seed=1).noise_for(spoken("a"))):
        assert np.corrcoef(noise, other)[0, 1] == pytest.approx(0, abs=0.05)


def test_the_power_is_the_same_at_all_frequencies():
    noise = WhiteNoise(seed=0).noise_for(spoken("a", 160_000))
    spectrum = np.abs(np.fft.rfft(noise)) ** 2
    bands = spectrum[1:].reshape(16, -1).mean(axis=1)
    assert bands == pytest.approx(bands.mean(), rel=0.1)
