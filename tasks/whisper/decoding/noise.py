"""Counter-based sampling noise: a pure function of window, temperature, token index and token id.

A window therefore samples the same tokens in any batch, on any device and after any restart.
"""

import hashlib
from typing import Final

import torch
from torch import Tensor

_GOLDEN: Final = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX: Final = (0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64))
_TOKEN_BITS: Final = 20  # a vocabulary of at most a million tokens
_FRACTION_BITS: Final = 52  # with another half added, still exact in float64


def noise_seed(id: str, temperature: float, seek: int = 0) -> int:
    """64 bits, signed, from SHA-256 over the window's id, the temperature and the first frame."""
    start = f" from {seek}" if seek else ""
    digest = hashlib.sha256(f"{temperature!r} {id}{start}".encode()).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


def gumbel(seeds: Tensor, indices: Tensor, vocab_size: int) -> Tensor:
    """Standard Gumbel noise, float64 (..., vocabulary), for int64 `seeds` and `indices` (...).

    The argmax of logits / temperature + noise is a sample of their softmax. The counter combines
    the token's index in the hypothesis with its id; the mixing function is the finalizer of
    SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014), in
    integer arithmetic that wraps identically on every device.
    """
    tokens = torch.arange(vocab_size, device=seeds.device)
    counter = (indices[..., None] << _TOKEN_BITS) + tokens
    bits = seeds[..., None] + (counter + 1) * _GOLDEN
    bits = (bits ^ _logical_shift(bits, 30)) * _MIX[0]
    bits = (bits ^ _logical_shift(bits, 27)) * _MIX[1]
    bits = bits ^ _logical_shift(bits, 31)
    fraction = (_logical_shift(bits, 64 - _FRACTION_BITS).double() + 0.5) / 2.0**_FRACTION_BITS
    return -(-fraction.log()).log()


def _logical_shift(bits: Tensor, num_bits: int) -> Tensor:
    """Shift right filling with zeros; torch fills with the sign bit."""
    return (bits >> num_bits) & ((1 << (64 - num_bits)) - 1)
