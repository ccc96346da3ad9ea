"""Grammar and acoustics of the synthetic speech."""

import numpy as np
import pytest

from tasks.demo.speech.acoustics import add_noise, reverberate, scale_to_peak, telephone
from tasks.demo.speech.grammar import sentence, vocabulary

RATE_HZ = 16_000


def tone(frequency_hz: float, duration_s: float = 1.0) -> np.ndarray:
    time_s = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    return np.sin(2 * np.pi * frequency_hz * time_s).astype(np.float32)


def test_sentences_have_2_to_12_words_and_depend_on_the_seed() -> None:
    rng = np.random.default_rng(5)
    sentences = [sentence(rng) for _ in range(3_000)]
    lengths = [len(text.split()) for text in sentences]
    assert min(lengths) == 2 and max(lengths) == 12
    assert {word for text in sentences for word in text.split()} == set(vocabulary())
    again = np.random.default_rng(5)
    assert sentences[:50] == [sentence(again) for _ in range(50)]
    assert len(set(sentences)) > 2_000


def test_vocabulary_is_small_and_exercises_normalisation() -> None:
    assert 70 <= len(vocabulary()) <= 95
    assert {"mister", "doctor", "don't", "it's", "we'll", "colour", "grey", "twenty"} <= set(
        vocabulary()
    )


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 30.0])
def test_noise_has_the_requested_power(snr_db: float) -> None:
    speech = tone(440.0)
    noise = add_noise(speech, snr_db, np.random.default_rng(1)) - speech
    measured_db = 10 * np.log10(np.mean(speech**2) / np.mean(noise**2))
    assert measured_db == pytest.approx(snr_db, abs=0.1)


def test_noise_is_not_added_to_silence() -> None:
    silence = np.zeros(100, dtype=np.float32)
    assert np.array_equal(add_noise(silence, 10.0, np.random.default_rng(1)), silence)


@pytest.mark.parametrize(
    ("frequency_hz", "passes"), [(100, False), (1_000, True), (3_000, True), (5_000, False)]
)
def test_telephone_keeps_its_band_only(frequency_hz: float, passes: bool) -> None:
    before = tone(frequency_hz)
    after = telephone(before, RATE_HZ)
    assert after.shape == before.shape and after.dtype == np.float32
    ratio = float(np.mean(after**2) / np.mean(before**2))
    assert ratio == pytest.approx(1.0, abs=0.05) if passes else ratio < 0.01


def test_reverberation_adds_a_decaying_tail() -> None:
    click = np.zeros(RATE_HZ, dtype=np.float32)
    click[0] = 1.0
    room = reverberate(click, RATE_HZ, 0.3, 0.2, np.random.default_rng(2))
    assert room.shape == click.shape and room.dtype == np.float32
    assert room[0] == pytest.approx(1.0, abs=1e-3)
    assert np.sum(room[1:] ** 2) == pytest.approx(0.2, rel=0.01)
    assert np.sum(room[1 : RATE_HZ // 20] ** 2) > 10 * np.sum(room[RATE_HZ // 5 :] ** 2)


def test_long_recordings_reverberate_like_short_ones() -> None:
    """Block boundaries are not audible."""
    rng = np.random.default_rng(6)
    long = (0.1 * rng.standard_normal(600_000)).astype(np.float32)
    room = reverberate(long, RATE_HZ, 0.1, 0.3, np.random.default_rng(2))
    tail = reverberate(long[300_000:], RATE_HZ, 0.1, 0.3, np.random.default_rng(2))
    np.testing.assert_allclose(room[302_000:], tail[2_000:], atol=1e-5)


def test_acoustics_depend_on_the_seed() -> None:
    speech = tone(300.0)
    first, second = (
        reverberate(
            add_noise(speech, 5.0, np.random.default_rng(3)),
            RATE_HZ,
            0.2,
            0.1,
            np.random.default_rng(4),
        )
        for _ in range(2)
    )
    assert np.array_equal(first, second)


def test_scale_to_peak() -> None:
    assert np.abs(scale_to_peak(tone(50.0), 0.3)).max() == pytest.approx(0.3)
    assert not scale_to_peak(np.zeros(5, dtype=np.float32), 0.3).any()
