"""The forward pass of a Whisper decoder over a fixed KV cache, each row at its own position.

The weights are those of transformers, with projections of the same input fused. Deals with hidden
states and logits; it has no notion of decoding rules, windows or end tokens.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final

import torch
from torch import Tensor, nn
from transformers import WhisperForConditionalGeneration
from transformers.models.whisper.modeling_whisper import WhisperDecoderLayer

from tasks.whisper.decoding.affine import Affine, fuse
from tasks.whisper.decoding.attention import (
    STEP_ROWS,
    AbsorbedCrossAttention,
    CrossAttention,
    CrossState,
    KeyValueCrossAttention,
    attend,
    prefers_absorbed,
    split_heads,
)
from tasks.whisper.decoding.cache import CacheShape, KVCache

NUM_FREQUENT: Final = 16_384
"""About 92 % of the text tokens of English audiobooks have lower ids, 86 % half as low ones.

In other languages fewer do: 65 to 79 %, counted in a passage of each of seven.
"""

UpdateCache = Callable[[Tensor], Tensor]
"""Stores a layer's new keys and values; returns all that the new tokens may attend to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheExtent:
    """The part of a cache that a step uses: its first rows and their first positions."""

    num_rows: int
    num_positions: int


class _Layer:
    """The weights of one decoder layer."""

    def __init__(self, layer: WhisperDecoderLayer, num_heads: int, *, absorb: bool) -> None:
        attention = layer.self_attn
        self._num_heads = num_heads
        self._self_norm: nn.LayerNorm = layer.self_attn_layer_norm
        packed = partial(fuse, num_rows=STEP_ROWS)
        self._self_in = packed(attention.q_proj, attention.k_proj, attention.v_proj)
        self._self_out = packed(attention.out_proj)
        self._cross_norm: nn.LayerNorm = layer.encoder_attn_layer_norm
        cross_type: type[AbsorbedCrossAttention | KeyValueCrossAttention] = (
            AbsorbedCrossAttention if absorb else KeyValueCrossAttention
        )
        self.cross_attention: CrossAttention = cross_type(layer.encoder_attn, num_heads)
        self._mlp_norm: nn.LayerNorm = layer.final_layer_norm
        self._fc1 = packed(layer.fc1, activation=layer.activation_fn)
        self._fc2 = packed(layer.fc2)

    def __call__(
        self, hidden: Tensor, cross: CrossState, update_cache: UpdateCache, mask: Tensor
    ) -> Tensor:
        """`cross` belongs to the rows of `hidden`; `mask` covers what `update_cache` returns."""
        width, num_heads = hidden.shape[-1], self._num_heads
        projected = self._self_in(self._self_norm(hidden))
        self_kv = update_cache(projected[..., width:].view(*hidden.shape[:2], 2, width))
        query = split_heads(projected[..., :width], num_heads)
        keys, values = (split_heads(self_kv[:, :, which], num_heads) for which in (0, 1))
        hidden = hidden + self._self_out(attend(query, keys, values, mask))
        hidden = hidden + self.cross_attention(self._cross_norm(hidden), cross)
        return hidden + self._fc2(self._fc1(self._mlp_norm(hidden)))


class DecoderLayers:
    """A Whisper decoder, from tokens to logits; in another `dtype`, weights are copied."""

    def __init__(
        self, model: WhisperForConditionalGeneration, dtype: torch.dtype | None = None
    ) -> None:
        config, decoder = model.config, model.model.decoder
        to_logits: Tensor = model.proj_out.weight
        if dtype not in (None, model.dtype):
            decoder = copy.deepcopy(decoder).to(dtype)
            to_logits = to_logits.to(dtype)
        self._num_heads: int = config.decoder_attention_heads
        self._num_frames: int = config.max_source_positions
        self._absorb = prefers_absorbed(model.device, self._num_heads, self._num_frames)
        self._layers = [
            _Layer(layer, self._num_heads, absorb=self._absorb) for layer in decoder.layers
        ]
        self._token_embedding: Tensor = decoder.embed_tokens.weight
        self._position_embedding: Tensor = decoder.embed_positions.weight
        self._norm: nn.LayerNorm = decoder.layer_norm
        self._embedding_to_logits = to_logits
        self._to_some: dict[int, tuple[Affine, Affine]] = {}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._token_embedding.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of weights and cache."""
        return self._token_embedding.dtype

    @property
    def vocab_size(self) -> int:
        """The number of logits per position."""
        return len(self._embedding_to_logits)

    def cache_shape(self, num_positions: int) -> CacheShape:
        """The cache row of a window with up to `num_positions` tokens, prompt included."""
        return CacheShape(
            num_layers=len(self._layers),
            num_heads=self._num_heads,
            num_frames=self._num_frames,
            num_positions=num_positions,
            width=self._token_embedding.shape[1],
            dtype=self.dtype,
            shares_encoder_output=self._absorb,
        )

    def prefill(self, prompt: Tensor, encoded: Tensor, cache: KVCache, rows: Tensor) -> Tensor:
        """Fill cache rows for new windows: the cross-attention state and the prompt.

        `prompt` is int64 (tokens,), `encoded` (windows, frames, width) and goes to `rows`, int64
        (windows,). Returns the last hidden states, (windows, tokens, width).
        """
        num_tokens, num_windows = len(prompt), len(encoded)
        positions = torch.arange(num_tokens, device=prompt.device)
        embedded = self._token_embedding[prompt] + self._position_embedding[:num_tokens]
        hidden = embedded.expand(num_windows, -1, -1)
        mask = _causal_mask(positions[None], num_tokens, hidden.dtype)
        for index, (layer, self_kv) in enumerate(zip(self._layers, cache.self_kv, strict=True)):
            cross = layer.cross_attention.project(encoded)
            cache.store_cross(index, rows, cross)

            def update_cache(new: Tensor, self_kv: Tensor = self_kv) -> Tensor:
                self_kv[:, :num_tokens].index_copy_(0, rows, new)
                return new

            hidden = layer(hidden, cross, update_cache, mask)
        normed: Tensor = self._norm(hidden)
        return normed

    def __call__(
        self, tokens: Tensor, first_positions: Tensor, cache: KVCache, extent: CacheExtent
    ) -> Tensor:
        """The last hidden states, (rows, new tokens, width), of `tokens`, int64 (rows, new tokens).

        A row's first new token stands at `first_positions`, int64 (rows,). Keys and values of all
        new tokens are added to the cache. Results are exact below `extent.num_positions`.
        """
        rows = torch.arange(extent.num_rows, device=tokens.device)[:, None]
        positions = first_positions[:, None] + torch.arange(tokens.shape[1], device=tokens.device)
        # a draft may run past the last position; what it proposes there is never accepted
        embedded = positions.clamp(max=len(self._position_embedding) - 1)
        hidden = self._token_embedding[tokens] + self._position_embedding[embedded]
        mask = _causal_mask(positions, extent.num_positions, hidden.dtype)
        for layer, cross, self_kv in zip(self._layers, cache.cross, cache.self_kv, strict=True):

            def update_cache(new: Tensor, self_kv: Tensor = self_kv) -> Tensor:
                self_kv.index_put_((rows, positions), new)
                return self_kv[: extent.num_rows, : extent.num_positions]

            row_cross = tuple(state[: extent.num_rows] for state in cross)
            hidden = layer(hidden, row_cross, update_cache, mask)
        normed: Tensor = self._norm(hidden)
        return normed

    @cached_property
    def _to_logits(self) -> Affine:
        """Made when it is needed: most drafts do without."""
        return Affine(self._embedding_to_logits, num_rows=STEP_ROWS)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of the next token, float32 (..., vocabulary)."""
        return self._to_logits(hidden).float()

    def prepare_frequent(self, end_id: int) -> None:
        """Do what `logits_of_frequent` does once, so that no step takes longer for it."""
        if self.device.type != "cpu" or end_id <= NUM_FREQUENT or end_id in self._to_some:
            return
        parts = slice(NUM_FREQUENT), slice(end_id, None)
        to_frequent, to_special = (
            Affine(self._embedding_to_logits[part], num_rows=STEP_ROWS) for part in parts
        )
        self._to_some[end_id] = to_frequent, to_special

    def logits_of_frequent(self, hidden: Tensor, end_id: int) -> Tensor:
        """As `logits`, on a CPU without those of rare text tokens, which are minus infinity.

        A small draft spends most of its time on reading their weights. The ids of a byte-pair
        encoding are in the order of its merges, the most frequent pairs first (Sennrich et al.,
        "Neural machine translation of rare words with subword units", 2016); `end_id` is the first
        of the special tokens.
        """
        if hidden.device.type != "cpu" or end_id <= NUM_FREQUENT:
            return self.logits(hidden)
        self.prepare_frequent(end_id)
        frequent, special = (to_some(hidden).float() for to_some in self._to_some[end_id])
        rare = frequent.new_full((*hidden.shape[:-1], end_id - NUM_FREQUENT), -torch.inf)
        return torch.cat([frequent, rare, special], dim=-1)


def _causal_mask(positions: Tensor, num_positions: int, dtype: torch.dtype) -> Tensor:
    """A mask added to attention scores, (rows, 1, tokens, positions): -inf for later positions."""
    later = torch.arange(num_positions, device=positions.device) > positions[:, None, :, None]
    return torch.zeros(later.shape, dtype=dtype, device=positions.device).masked_fill_(
        later, -torch.inf
    )
