import numpy as np

from tasks.whisper.excerpt import Excerpt

SAMPLES = np.arange(2_000, dtype=np.float32)


def test_the_surroundings_are_the_neighbouring_samples():
    found = Excerpt.between(SAMPLES, 1_000, 1_500, peak=2.0)
    assert found.before.tolist() == list(range(680, 1_000))
    assert found.after.tolist() == list(range(1_500, 1_820))
    assert found.peak == 2.0


def test_nothing_surrounds_a_whole_recording():
    found = Excerpt.between(SAMPLES, 0, 2_000, peak=0.0)
    assert (len(found.before), len(found.after)) == (0, 0)
    assert len(Excerpt.between(SAMPLES, 100, 1_900, peak=0.0).before) == 100
