"""The cache of encoder outputs: what it has, what it refuses, and what it survives."""

import numpy as np
import pytest
import torch

from tasks.whisper.encoding.cache import OutputCache, module_digest


@pytest.fixture
def encoder() -> torch.nn.Module:
    return torch.nn.Linear(3, 4)


def waveform(seed: int):
    return np.random.default_rng(seed).normal(0, 0.1, 1000).astype(np.float32)


def outputs(num: int) -> torch.Tensor:
    return torch.randn(num, 5, 4)


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_was_computed_is_found_rounded_to_float16(tmp_path, encoder) -> None:
    computed = outputs(2)
    cache = OutputCache(tmp_path, 1 << 20, encoder)
    assert cache.get(waveform(0)) is None
    kept = cache.keep([waveform(0), waveform(1)], computed)
    for cached in (cache, OutputCache(tmp_path, 1 << 20, encoder)):
        for index in range(2):
            found = cached.get(waveform(index))
            assert torch.equal(found, kept[index])
            torch.testing.assert_close(found.float(), computed[index], rtol=1 / 2000, atol=1e-7)
    assert (cache.num_computed, cache.num_found) == (2, 2)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_an_exact_cache_rounds_nothing_and_has_entries_of_its_own(tmp_path, encoder, dtype) -> None:
    computed = outputs(1).to(getattr(torch, dtype))
    cache = OutputCache(tmp_path, 1 << 20, encoder, dtype, is_exact=True)
    (kept,) = cache.keep([waveform(0)], computed)
    found = cache.get(waveform(0))
    assert found.dtype == computed.dtype
    assert torch.equal(found, computed[0]) and torch.equal(kept, computed[0])
    assert OutputCache(tmp_path, 1 << 20, encoder, dtype).get(waveform(0)) is None


def test_caches_in_a_folder_keep_to_the_limit_together(tmp_path, encoder) -> None:
    size_bytes = 4 + 5 * 4 * 2 + 16
    caches = [
        OutputCache(tmp_path, 3 * size_bytes, one) for one in (encoder, torch.nn.Linear(3, 4))
    ]
    for seed, cache in enumerate(caches * 2):
        cache.keep([waveform(seed)], outputs(1))
    assert len(files(tmp_path)) == 3


def test_processes_that_train_together_share_what_is_left(tmp_path, encoder) -> None:
    size_bytes = 4 + 5 * 4 * 2 + 16
    OutputCache(tmp_path, 1 << 20, encoder).keep([waveform(9)], outputs(1))
    cache = OutputCache(tmp_path, 5 * size_bytes, encoder, num_sharing=2)
    cache.keep([waveform(seed) for seed in range(4)], outputs(4))
    assert len(files(tmp_path)) == 3


def test_another_encoder_finds_nothing(tmp_path, encoder) -> None:
    OutputCache(tmp_path, 1 << 20, encoder).keep([waveform(0)], outputs(1))
    other = torch.nn.Linear(3, 4)
    assert module_digest(other) != module_digest(encoder)
    assert OutputCache(tmp_path, 1 << 20, other).get(waveform(0)) is None


def test_another_precision_finds_nothing(tmp_path, encoder) -> None:
    OutputCache(tmp_path, 1 << 20, encoder, "bfloat16").keep([waveform(0)], outputs(1))
    assert OutputCache(tmp_path, 1 << 20, encoder).get(waveform(0)) is None


def test_nothing_is_stored_beyond_the_limit(tmp_path, encoder) -> None:
    size_bytes = 4 + 5 * 4 * 2 + 16
    for _ in range(2):  # what is there already counts
        cache = OutputCache(tmp_path, 3 * size_bytes, encoder)
        cache.keep([waveform(seed) for seed in range(5)], outputs(5))
        assert len(files(tmp_path)) == 3
    assert sum(cache.get(waveform(seed)) is not None for seed in range(5)) == 3


@pytest.mark.parametrize("position", [0, 4, 30, -1])
def test_a_damaged_file_counts_as_missing(tmp_path, encoder, position) -> None:
    cache = OutputCache(tmp_path, 1 << 20, encoder)
    cache.keep([waveform(0)], outputs(1))
    (path,) = files(tmp_path)
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 1
    path.write_bytes(damaged)
    assert cache.get(waveform(0)) is None
    path.write_bytes(b"")
    assert cache.get(waveform(0)) is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, encoder) -> None:
    in_the_way = tmp_path / "cache"
    in_the_way.write_bytes(b"")
    cache = OutputCache(in_the_way, 1 << 20, encoder)
    kept = cache.keep([waveform(0)], outputs(1))
    assert kept[0].shape == (5, 4)
    assert not cache.num_found
