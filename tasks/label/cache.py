"""Keys and values of the windows that are decoded: fixed places in memory, one row a window.

Knows shapes and memory; knows no weights and no tokens.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheShape:
    """What a decoder keeps of a window: of its sound, and of `num_positions` tokens."""

    num_layers: int
    num_heads: int
    num_frames: int
    num_positions: int
    width: int
    dtype: torch.dtype

    @property
    def bytes_per_row(self) -> int:
        """The memory of one window."""
        places = self.num_layers * (self.num_frames + self.num_positions)
        return 2 * places * self.width * self.dtype.itemsize


class Cache:
    """`sound` is (layers, rows, 2, heads, frames, width of a head), read again for every token.

    `said` is (layers, rows, positions, 2, width). The place of 2 is 0 for keys and 1 for values.
    What a row of `said` holds behind the row's own position has no meaning.
    """

    def __init__(self, shape: CacheShape, num_rows: int, device: torch.device) -> None:
        first = (shape.num_layers, num_rows)
        by_head = (2, shape.num_heads, shape.num_frames, shape.width // shape.num_heads)
        self.sound = torch.empty((*first, *by_head), dtype=shape.dtype, device=device)
        by_place = (shape.num_positions, 2, shape.width)
        # a masked place counts for nothing only if it holds a number
        self.said = torch.zeros((*first, *by_place), dtype=shape.dtype, device=device)

    def move(self, source: int, target: int) -> None:
        """Copy one row over another."""
        self.sound[:, target] = self.sound[:, source]
        self.said[:, target] = self.said[:, source]
