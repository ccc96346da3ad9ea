import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.evaluate.noise.draws import gaussian
from tasks.evaluate.noise.mixing import add_noise, power

LOWEST = 1 / 32_768  # of 16-bit audio


def tone(num_samples, peak):
    return (peak * np.sin(np.arange(num_samples) * 0.3 + 0.5)).astype(np.float32)


@settings(deadline=None, max_examples=200)
@given(
    snr_db=st.integers(-30, 60),
    num_samples=st.integers(1, 5_000),
    speech_peak=st.floats(10 * LOWEST, 1),
    noise_peak=st.floats(LOWEST, 1e4),
    pause=st.floats(0, 0.99),
    offset=st.floats(-0.5, 0.5),
)
def test_the_ratio_is_that_which_was_asked_for(
    snr_db, num_samples, speech_peak, noise_peak, pause, offset
):
    speech = tone(num_samples, speech_peak)
    speech[: int(pause * num_samples)] = 0
    noise = np.float32(noise_peak) * (gaussian(num_samples, 0, "n") + np.float32(offset))
    mixture = add_noise(speech, noise, snr_db)
    assert mixture.samples.dtype == np.float32
    assert mixture.snr_db == pytest.approx(snr_db, abs=0.1)
    assert np.isfinite(mixture.samples).all()
    assert np.abs(mixture.samples).max() <= 1 + 1e-6
    # independently of what is reported: the share of the speech in the mixture, which is
    # the speech times the scale plus the noise times another, by least squares
    if num_samples > 100:
        both = np.stack((speech, noise), axis=1).astype(np.float64)
        scale, gain = np.linalg.lstsq(both, mixture.samples, rcond=None)[0]
        found = 10 * np.log10(scale**2 * power(speech) / (gain**2 * power(noise)))
        assert found == pytest.approx(snr_db, abs=0.1)


def test_a_mixture_within_full_scale_keeps_the_speech_as_it_is():
    speech, noise = tone(1_000, 0.2), gaussian(1_000, 0, "n")
    mixture = add_noise(speech, noise, 10)
    added = mixture.samples - speech
    assert np.corrcoef(added, noise)[0, 1] == pytest.approx(1)
    assert power(added) == pytest.approx(power(speech) / 10, rel=1e-3)


def test_the_noise_of_all_ratios_is_the_same_but_for_its_power():
    speech, noise = tone(1_000, 0.05), gaussian(1_000, 0, "n")
    added = [add_noise(speech, noise, snr_db).samples - speech for snr_db in (20, 0)]
    assert added[1] == pytest.approx(10 * added[0], abs=1e-6)


def test_nothing_is_clipped():
    """Speech and noise are reduced together."""
    speech, noise = tone(1_000, 0.9), tone(1_000, 0.9)[::-1].copy()
    mixture = add_noise(speech, noise, -10)
    unlimited = speech + np.float32(10**0.5 * (power(speech) / power(noise)) ** 0.5) * noise
    assert np.abs(unlimited).max() > 1
    assert mixture.samples == pytest.approx(unlimited / np.abs(unlimited).max(), abs=1e-6)
    assert mixture.snr_db == pytest.approx(-10, abs=0.01)


@pytest.mark.parametrize("num_samples", [0, 100])
def test_silence_has_no_ratio_and_stays_as_it_is(num_samples):
    silence, noise = np.zeros(num_samples, np.float32), np.ones(num_samples, np.float32)
    for speech, added in [(silence, noise), (noise, silence), (silence, silence)]:
        mixture = add_noise(speech, added, 0)
        assert np.array_equal(mixture.samples, speech)
        assert mixture.snr_db is None


def test_noise_of_another_length_is_refused():
    with pytest.raises(ValueError, match="9 samples of noise for 8 of speech"):
        add_noise(np.ones(8, np.float32), np.ones(9, np.float32), 0)
