"""Keys and values of the windows that are decoded: fixed places in memory, one row a window.

Knows shapes and memory; knows no weights and no tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheShape:
    """What a decoder keeps of a window: of its sound, and of `num_positions` tokens.

    Keys and values of the sound are kept for each layer; or, with `shares_sound`, what the encoder
    made of it is kept once for all of them.
    """

    num_layers: int
    num_heads: int
    num_frames: int
    num_positions: int
    width: int
    dtype: torch.dtype
    shares_sound: bool

    @property
    def bytes_per_row(self) -> int:
        """The memory of one window."""
        num_of_sound = 1 if self.shares_sound else 2 * self.num_layers
        places = num_of_sound * self.num_frames + 2 * self.num_layers * self.num_positions
        return places * self.width * self.dtype.itemsize


class Cache:
    """`sound` has for each layer what is kept of it, read again for every token.

    That is keys and values, each (rows, heads, frames, width of a head); or one (rows, frames,
    width), the same for all layers. `said` is (layers, rows, positions, 2, width), where the place
    of 2 is 0 for keys and 1 for values. What a row of `said` holds behind the row's own position
    has no meaning.
    """

    def __init__(self, shape: CacheShape, num_rows: int, device: torch.device) -> None:
        def of_sound(*row: int) -> Tensor:
            return torch.empty((num_rows, *row), dtype=shape.dtype, device=device)

        by_head = (shape.num_heads, shape.num_frames, shape.width // shape.num_heads)
        self._own_sound = (
            [(of_sound(shape.num_frames, shape.width),)]
            if shape.shares_sound
            else [(of_sound(*by_head), of_sound(*by_head)) for _ in range(shape.num_layers)]
        )
        self.sound = self._own_sound * (shape.num_layers if shape.shares_sound else 1)
        by_place = (shape.num_positions, 2, shape.width)
        # a masked place counts for nothing only if it holds a number
        self.said = torch.zeros(
            (shape.num_layers, num_rows, *by_place), dtype=shape.dtype, device=device
        )

    def put_sound(self, layer: int, rows: Tensor, kept: Sequence[Tensor]) -> None:
        """Put what is kept of windows into `rows`, int64 (windows,), unless a layer before did."""
        if layer < len(self._own_sound):
            for place, new in zip(self._own_sound[layer], kept, strict=True):
                place.index_copy_(0, rows, new)

    def move(self, source: int, target: int) -> None:
        """Copy one row over another."""
        for kept in self._own_sound:
            for place in kept:
                place[target] = place[source]
        self.said[:, target] = self.said[:, source]
