"""The checks run on the CPU here, which leaves only CUDA itself untested."""

import pytest
import torch

from benchmarks.gpu.check import Setup


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """In all tests of this folder."""


@pytest.fixture
def setup() -> Setup:
    return Setup(device=torch.device("cpu"), num_windows=6)
