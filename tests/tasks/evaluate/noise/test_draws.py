import subprocess
import sys

import numpy as np
import pytest

from tasks.evaluate.noise.draws import fractions, gaussian, sampled_ids

IDS = [f"u{number}" for number in range(500)]


def test_numbers_are_uniform_and_depend_on_seed_and_names():
    drawn = fractions(20_000, 0, "white", "u1")
    assert drawn.min() >= 0 and drawn.max() < 1
    assert np.histogram(drawn, bins=10, range=(0, 1))[0] == pytest.approx(2_000, rel=0.1)
    assert np.array_equal(drawn[:9], fractions(9, 0, "white", "u1"))
    others = [(1, "white", "u1"), (0, "white", "u2"), (0, "rain", "u1"), (0, "whiteu1")]
    assert len({fractions(1, *one)[0] for one in others} | {drawn[0]}) == 5


def test_gaussian_noise_is_normal_and_white():
    drawn = gaussian(300_001, 0, "u1")
    assert drawn.dtype == np.float32 and len(drawn) == 300_001
    assert drawn.mean() == pytest.approx(0, abs=0.01)
    assert drawn.std() == pytest.approx(1, abs=0.01)
    for sigmas, share in [(1, 0.6827), (2, 0.9545), (3, 0.9973)]:
        assert np.mean(np.abs(drawn) < sigmas) == pytest.approx(share, abs=0.003)
    for lag in (1, 2, 3, 1 << 17):
        assert np.mean(drawn[lag:] * drawn[:-lag]) == pytest.approx(0, abs=0.01)
    assert np.mean(drawn**2 * np.roll(drawn, 1) ** 2) == pytest.approx(1, abs=0.03)


def test_less_noise_is_the_beginning_of_more():
    long = gaussian(600_000, 0, "u1")
    for num in (0, 1, 2, 99, 262_144, 262_145):
        assert np.array_equal(gaussian(num, 0, "u1"), long[:num])


def test_another_process_draws_the_same():
    code = (
        "from tasks.evaluate.noise.draws import *;"
        "print(gaussian(5, 7, 'white', 'u1').tobytes().hex(), sorted(sampled_ids('abcdef', 3, 3)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = gaussian(5, 7, "white", "u1").tobytes().hex(), sorted(sampled_ids("abcdef", 3, 3))
    assert done.stdout == f"{expected[0]} {expected[1]}\n"


def test_a_sample_does_not_depend_on_the_order():
    chosen = sampled_ids(IDS, 0, 50)
    assert len(chosen) == 50
    assert chosen == sampled_ids(reversed(IDS), 0, 50)
    assert chosen < sampled_ids(IDS, 0, 51)
    assert chosen != sampled_ids(IDS, 1, 50)
    assert sampled_ids(IDS, 0, 999) == set(IDS)


def test_every_id_is_as_likely_as_any_other():
    halves = [sum(int(one[1:]) < 250 for one in sampled_ids(IDS, seed, 50)) for seed in range(100)]
    assert sum(halves) / len(halves) == pytest.approx(25, abs=1.5)


def test_more_utterances_displace_few_that_were_chosen():
    before = sampled_ids(IDS[:450], 0, 50)
    assert len(before - sampled_ids(IDS, 0, 50)) <= 15
