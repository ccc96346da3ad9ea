"""Noise for sampling that is a function and no stream: of window, temperature, step and token.

So a window samples the same tokens in any batch, on any device and after any restart.
"""

import hashlib
from typing import Final

import torch
from torch import Tensor

_GOLDEN: Final = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX: Final = (0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64))
_STEP_BITS: Final = 20  # a vocabulary of at most a million tokens
_FRACTION_BITS: Final = 52  # with half a step more they are still exact in float64


def noise_seed(id: str, temperature: float) -> int:
    """64 bits, signed, from SHA-256 over the window's id and the temperature."""
    digest = hashlib.sha256(f"{temperature!r} {id}".encode()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


def gumbel(seeds: Tensor, steps: Tensor, vocab_size: int) -> Tensor:
    """Standard Gumbel noise, float64 (..., vocabulary), for int64 `seeds` and `steps` (...).

    The largest of logits / temperature + noise is a draw from their softmax. The counter is step
    and token, and what makes it random is the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast
    splittable pseudorandom number generators", 2014), in integers that wrap alike everywhere.
    """
    tokens = torch.arange(vocab_size, device=seeds.device)
    counter = (steps[..., None] << _STEP_BITS) + tokens
    bits = seeds[..., None] + (counter + 1) * _GOLDEN
    bits = (bits ^ _shifted(bits, 30)) * _MIX[0]
    bits = (bits ^ _shifted(bits, 27)) * _MIX[1]
    bits = bits ^ _shifted(bits, 31)
    fraction = (_shifted(bits, 64 - _FRACTION_BITS).double() + 0.5) / 2.0**_FRACTION_BITS
    return -(-fraction.log()).log()


def _shifted(bits: Tensor, num_bits: int) -> Tensor:
    """To the right with zeros behind, where torch repeats the sign."""
    return (bits >> num_bits) & ((1 << (64 - num_bits)) - 1)
