"""Attention of a decoder layer: two implementations of cross-attention, and shared helpers.

Deals with weights and shapes only; it has no notion of tokens or cache rows.
"""

from typing import Final, Protocol

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.whisper.modeling_whisper import WhisperAttention

from tasks.whisper.decoding.affine import Affine, fuse

_MAX_ABSORBED_HEADS: Final = 6
_MAX_ABSORBED_FRAMES: Final = 500  # of a 10 s window
_MANY_QUERIES: Final = 64
_PREFILL_ROWS: Final = 1_500

STEP_ROWS: Final = 16
"""Rows of a decoding step, about."""

CrossState = tuple[Tensor, ...]
"""What one layer's cross-attention caches of the encoder output; the first axis is the windows."""


class CrossAttention(Protocol):
    """A layer's attention to the encoder output, projections included."""

    def project(self, encoded: Tensor) -> CrossState:
        """Return what this layer caches of `encoded`, (windows, frames, width)."""

    def __call__(self, normed: Tensor, state: CrossState) -> Tensor:
        """Attend from `normed`, (windows, tokens, width); the result has the same shape."""


class KeyValueCrossAttention:
    """Standard cross-attention: keys and values are computed once per window and cached."""

    def __init__(self, attention: WhisperAttention, num_heads: int) -> None:
        self._num_heads = num_heads
        self._query = fuse(attention.q_proj, num_rows=STEP_ROWS)
        self._keys_values = fuse(attention.k_proj, attention.v_proj, num_rows=_PREFILL_ROWS)
        self._out = fuse(attention.out_proj, num_rows=STEP_ROWS)

    def project(self, encoded: Tensor) -> CrossState:
        """Return keys and values, each (windows, heads, frames, head width)."""
        both = self._keys_values(encoded).view(*encoded.shape[:2], 2, self._num_heads, -1)
        keys, values = both.permute(2, 0, 3, 1, 4)
        return keys, values

    def __call__(self, normed: Tensor, state: CrossState) -> Tensor:
        """See `CrossAttention`."""
        return self._out(attend(split_heads(self._query(normed), self._num_heads), *state))


class AbsorbedCrossAttention:
    """Cross-attention over the encoder output itself; key and value maps are absorbed.

    For a head, q·(W_k x) = (W_kᵀ q)·x and W_o Σ p (W_v x) = (W_o W_v) Σ p x, as in DeepSeek-V2
    (arXiv 2405.04434, section 2.1.2). All layers share one cached tensor, small enough to stay in
    the processor's caches; in return each head works on the full width. A bias of the keys shifts
    all scores of a query equally and therefore cancels in the softmax.
    """

    def __init__(self, attention: WhisperAttention, num_heads: int) -> None:
        def by_head(weight: Tensor) -> Tensor:
            return weight.double().view(num_heads, -1, *weight.shape[1:])

        query, keys, values = attention.q_proj, attention.k_proj, attention.v_proj
        dtype, scale = query.weight.dtype, (query.out_features // num_heads) ** -0.5
        keys_transposed = by_head(keys.weight).transpose(1, 2) * scale
        self._query = Affine(
            (keys_transposed @ by_head(query.weight)).flatten(0, 1).to(dtype),
            (keys_transposed @ by_head(query.bias)[..., None]).flatten().to(dtype),
            num_rows=STEP_ROWS,
        )
        out = attention.out_proj
        out_by_head = by_head(out.weight.T.contiguous()).transpose(1, 2)
        self._out = Affine(
            (out_by_head @ by_head(values.weight)).transpose(0, 1).flatten(1).to(dtype),
            (out.weight.double() @ values.bias.double() + out.bias.double()).to(dtype),
            num_rows=STEP_ROWS,
        )

    def project(self, encoded: Tensor) -> CrossState:
        """Return `encoded` itself, (windows, frames, width), the same for every layer."""
        return (encoded,)

    def __call__(self, normed: Tensor, state: CrossState) -> Tensor:
        """See `CrossAttention`."""
        encoded = state[0][:, None]
        # one attention head of the full width, to which each model head contributes a query
        queries = self._query(normed).view(len(normed), 1, -1, encoded.shape[-1])
        attended = functional.scaled_dot_product_attention(queries, encoded, encoded, scale=1.0)
        return self._out(attended.view(*normed.shape[:2], -1))


def prefers_absorbed(device: torch.device, num_heads: int, num_frames: int) -> bool:
    """Whether `AbsorbedCrossAttention` is faster: on a CPU with few heads and short windows.

    It does `num_heads` times the work to read fewer bytes, which pays while those fit in a cache.
    """
    return (
        device.type == "cpu"
        and num_heads <= _MAX_ABSORBED_HEADS
        and num_frames <= _MAX_ABSORBED_FRAMES
    )


def split_heads(states: Tensor, num_heads: int) -> Tensor:
    """View (rows, positions, width) as (rows, heads, positions, head width), without a copy."""
    return states.view(*states.shape[:2], num_heads, -1).transpose(1, 2)


def attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Multi-head attention, returned as (rows, positions, width); `mask` is added to the scores."""
    attend_heads = (
        _attend_by_products
        if query.device.type == "cpu" and query.dtype != torch.float32
        else functional.scaled_dot_product_attention
    )
    attended: Tensor = attend_heads(query, keys, values, mask)
    return attended.transpose(1, 2).flatten(2)


def _attend_by_products(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Attention as two matrix products, for lower precision on a CPU.

    There the fused kernel of torch converts to float32 and back, and takes five times as long for a
    single query. Long queries are processed head by head, so that the scores stay in the cache.
    """
    query = query * query.shape[-1] ** -0.5
    if mask is None and query.shape[2] > _MANY_QUERIES:
        heads = zip(*(one.flatten(0, 1) for one in (query, keys, values)), strict=True)
        attended = torch.stack([(q @ k.T).softmax(dim=-1) @ v for q, k, v in heads])
        return attended.view(query.shape)
    scores = query @ keys.transpose(2, 3)
    return (scores if mask is None else scores + mask).softmax(dim=-1) @ values
