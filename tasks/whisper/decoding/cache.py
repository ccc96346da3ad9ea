"""The KV cache: preallocated memory with one row per window.

Deals with shapes and memory only; it has no notion of weights or tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheShape:
    """The size of one row: the encoder output of a window, and `num_positions` tokens.

    Cross-attention keys and values are cached per layer; or, with `shares_encoder_output`, the
    encoder output is cached once for all layers.
    """

    num_layers: int
    num_heads: int
    num_frames: int
    num_positions: int
    width: int
    dtype: torch.dtype
    shares_encoder_output: bool

    @property
    def bytes_per_row(self) -> int:
        """The memory of one window."""
        num_cross_tensors = 1 if self.shares_encoder_output else 2 * self.num_layers
        num_vectors = num_cross_tensors * self.num_frames + 2 * self.num_layers * self.num_positions
        return num_vectors * self.width * self.dtype.itemsize


class KVCache:
    """Cross-attention state (`cross`) and self-attention keys and values (`self_kv`).

    `cross` has an entry per layer, written once per window: keys and values, each (rows, heads,
    frames, head width), or a single (rows, frames, width) tensor that all layers share. `self_kv`
    is (layers, rows, positions, 2, width); index 0 of the axis of size 2 holds keys, index 1
    values. Positions after a row's current one hold arbitrary numbers.
    """

    def __init__(self, shape: CacheShape, num_rows: int, device: torch.device) -> None:
        def allocate(*row_shape: int) -> Tensor:
            return torch.empty((num_rows, *row_shape), dtype=shape.dtype, device=device)

        by_head = (shape.num_heads, shape.num_frames, shape.width // shape.num_heads)
        self._distinct_cross = (
            [(allocate(shape.num_frames, shape.width),)]
            if shape.shares_encoder_output
            else [(allocate(*by_head), allocate(*by_head)) for _ in range(shape.num_layers)]
        )
        num_aliases = shape.num_layers if shape.shares_encoder_output else 1
        self.cross = self._distinct_cross * num_aliases
        row_shape = (shape.num_positions, 2, shape.width)
        # zeros: the weight 0 of a masked position cancels finite numbers only
        self.self_kv = torch.zeros(
            (shape.num_layers, num_rows, *row_shape), dtype=shape.dtype, device=device
        )

    def store_cross(self, layer: int, rows: Tensor, state: Sequence[Tensor]) -> None:
        """Write the cross-attention state of windows to `rows`, int64 (windows,).

        Does nothing for a layer that shares the tensor of an earlier one.
        """
        if layer < len(self._distinct_cross):
            for cached, new in zip(self._distinct_cross[layer], state, strict=True):
                cached.index_copy_(0, rows, new)

    def move(self, source: int, target: int) -> None:
        """Copy one row over another."""
        for state in self._distinct_cross:
            for cached in state:
                cached[target] = cached[source]
        self.self_kv[:, target] = self.self_kv[:, source]
