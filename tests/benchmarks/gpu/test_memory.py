from contextlib import contextmanager

import torch

from benchmarks.gpu.memory import BATCH_SIZE, check_memory
from tasks.whisper.decoding.cache import KVCache


def test_without_a_gpu_memory_cannot_be_limited(setup):
    assert check_memory(setup).passed is None


def test_a_batch_that_does_not_fit_is_halved_until_it_does(setup, monkeypatch):
    @contextmanager
    def limit(device, num_bytes):
        allocate = KVCache.__init__

        def bounded(cache, shape, num_rows, device):
            if num_rows * shape.bytes_per_row > num_bytes / 4:
                raise torch.OutOfMemoryError("no memory")
            allocate(cache, shape, num_rows, device)

        with monkeypatch.context() as patch:
            patch.setattr(KVCache, "__init__", bounded)
            yield

    outcome = check_memory(setup, limit)
    assert outcome.passed, outcome.detail
    assert f"at once: batches of {BATCH_SIZE}, {BATCH_SIZE // 2}" in outcome.detail
    assert "6 of 6 windows are equal" in outcome.detail
    assert outcome.figures["batch_size_at_once"] < outcome.figures["batch_size_midway"]


def test_a_batch_that_fits_does_not_pass(setup):
    """Nothing would have been shown."""

    @contextmanager
    def limit(device, num_bytes):
        yield

    assert check_memory(setup, limit).passed is False
