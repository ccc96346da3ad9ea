"""The checks run on the CPU here, which leaves only CUDA itself untested."""

from collections.abc import Iterator

import pytest
import torch

from benchmarks.gpu.check import Setup


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """One thread: these models are too small to gain from more."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture
def setup() -> Setup:
    return Setup(device=torch.device("cpu"), num_windows=6)
