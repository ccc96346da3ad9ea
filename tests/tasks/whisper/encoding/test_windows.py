"""Windows are encoded once where a cache has them, and to the same bits."""

import dataclasses

import numpy as np
import pytest
import torch

from tasks.whisper.encoding.cache import OutputCache
from tasks.whisper.encoding.features import LogMel
from tasks.whisper.encoding.windows import WindowEncoder
from tasks.whisper.engine import AudioWindow
from tasks.whisper.excerpt import Excerpt
from tasks.whisper.segments import Covered


@pytest.fixture
def encoder(tiny_teacher):
    return tiny_teacher.model.model.encoder


@pytest.fixture
def log_mel(tiny_teacher) -> LogMel:
    return LogMel(tiny_teacher.feature_extractor, torch.device("cpu"), torch.float32)


@pytest.fixture
def cache(encoder, tmp_path) -> OutputCache:
    return OutputCache(tmp_path, 1 << 30, encoder, is_exact=True)


def windows(*lengths: int) -> list[AudioWindow]:
    draw = np.random.default_rng(0)
    return [
        AudioWindow(f"w{index}", draw.normal(0, 0.1, length).astype(np.float32))
        for index, length in enumerate(lengths)
    ]


def test_what_is_read_is_what_is_computed_bit_by_bit(log_mel, encoder, cache) -> None:
    first, second, third = windows(20_000, 4_000, 32_000)
    plain = WindowEncoder(log_mel, encoder)([first, second, third])
    encode = WindowEncoder(log_mel, encoder, cache)
    for batch, num_computed in (([second], 1), ([first, second, third], 3), ([third, first], 3)):
        found = encode(batch)
        expected = [plain[int(window.id[1:])] for window in batch]
        assert torch.equal(found, torch.stack(expected))
        assert cache.num_computed == num_computed


def test_what_is_left_of_a_window_is_not_taken_for_the_window(log_mel, encoder, cache) -> None:
    (window,) = windows(20_000)
    rest = dataclasses.replace(window, covered=Covered(seek=50))
    encode = WindowEncoder(log_mel, encoder, cache)
    whole, part = encode([window, rest])
    assert not torch.equal(whole, part)
    assert torch.equal(encode([rest])[0], part)
    assert (cache.num_computed, cache.num_found) == (1, 0)


def test_an_excerpt_is_not_taken_for_the_window(log_mel, encoder, cache) -> None:
    (window,) = windows(20_000)
    excerpt = Excerpt(window.samples, window.samples, peak=3.0)
    encode = WindowEncoder(log_mel, encoder, cache)
    whole, part = encode([window, dataclasses.replace(window, excerpt=excerpt)])
    assert not torch.equal(whole, part)
    assert (cache.num_computed, cache.num_found) == (1, 0)
