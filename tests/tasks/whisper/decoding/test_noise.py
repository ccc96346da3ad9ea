import pytest
import torch

from tasks.whisper.decoding.noise import gumbel, noise_seed

EULER = 0.5772156649
PINNED = [0.452354179634, 15.553475895470, 1.220896717719]


def test_seeds_depend_on_window_and_temperature():
    assert noise_seed("a", 0.2) == noise_seed("a", 0.2)
    seeds = {noise_seed(name, temperature) for name in ("a", "b") for temperature in (0.2, 0.4)}
    assert len(seeds) == 4


def test_noise_is_the_same_alone_and_in_a_batch():
    seeds, steps = torch.tensor([5, -7, 11]), torch.tensor([0, 3, 3])
    together = gumbel(seeds, steps, 50)
    for row in range(3):
        assert torch.equal(gumbel(seeds[row], steps[row], 50), together[row])


def test_noise_is_pinned():
    """Other numbers would give other labels under the same fingerprint."""
    found = gumbel(torch.tensor(noise_seed("window", 0.4)), torch.tensor(2), 3)
    assert found.tolist() == pytest.approx(PINNED, abs=1e-9)


def test_noise_has_a_gumbel_distribution():
    steps = torch.arange(200)
    noise = gumbel(torch.full((200,), 42), steps, 1000).flatten()
    assert noise.isfinite().all()
    assert noise.mean().item() == pytest.approx(EULER, abs=0.01)
    assert noise.var().item() == pytest.approx(torch.pi**2 / 6, abs=0.03)
    neighbours = torch.corrcoef(torch.stack([noise[:-1], noise[1:]]))[0, 1]
    assert abs(neighbours.item()) < 0.01


def test_the_argmax_samples_the_softmax():
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    noise = gumbel(torch.arange(20_000), torch.zeros(20_000, dtype=torch.long), 4)
    drawn = (logits + noise).argmax(dim=1).bincount(minlength=4) / 20_000
    assert drawn.tolist() == pytest.approx(logits.softmax(0).tolist(), abs=0.015)
