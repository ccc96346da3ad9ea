"""The forward pass of a Whisper's decoder over fixed caches, every row at its own position.

The weights are those of transformers, with projections of the same input joined into one. Knows
hidden states and logits; knows no rule, no window and no end.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import WhisperForConditionalGeneration
from transformers.models.whisper.modeling_whisper import WhisperDecoderLayer

from tasks.label.cache import Cache, CacheShape

Keep = Callable[[Tensor], Tensor]
"""Puts a layer's new keys and values away; returns all that the new tokens may look at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """The first rows of the caches, and how many of their places are looked at."""

    num_rows: int
    num_places: int


@dataclass(frozen=True, slots=True)
class _Affine:
    weight: Tensor
    bias: Tensor | None

    def __call__(self, inputs: Tensor) -> Tensor:
        return functional.linear(inputs, self.weight, self.bias)


class _Layer:
    """The weights of one layer."""

    def __init__(self, layer: WhisperDecoderLayer, num_heads: int) -> None:
        said, sound = layer.self_attn, layer.encoder_attn
        self._num_heads = num_heads
        self._said_norm: nn.LayerNorm = layer.self_attn_layer_norm
        self._said_in = _joined(said.q_proj, said.k_proj, said.v_proj)
        self._said_out = _joined(said.out_proj)
        self._sound_norm: nn.LayerNorm = layer.encoder_attn_layer_norm
        self._sound_query = _joined(sound.q_proj)
        self._sound_in = _joined(sound.k_proj, sound.v_proj)
        self._sound_out = _joined(sound.out_proj)
        self._norm: nn.LayerNorm = layer.final_layer_norm
        self._widen, self._narrow = _joined(layer.fc1), _joined(layer.fc2)
        self._activation: nn.Module = layer.activation_fn

    def listen(self, encoded: Tensor) -> Tensor:
        """Keys and values of `encoded`, (rows, frames, width), as a cache has them."""
        both = self._sound_in(encoded).view(*encoded.shape[:2], 2, self._num_heads, -1)
        return both.permute(0, 2, 3, 1, 4)

    def __call__(self, hidden: Tensor, sound: Tensor, keep: Keep, seen: Tensor) -> Tensor:
        """`sound` is of these rows, and `seen` the mask over what `keep` returns."""
        width, num_heads = hidden.shape[-1], self._num_heads
        projected = self._said_in(self._said_norm(hidden))
        said = keep(projected[..., width:].view(*hidden.shape[:2], 2, width))
        query = _heads(projected[..., :width], num_heads)
        keys, values = (_heads(said[:, :, which], num_heads) for which in (0, 1))
        attended = _attend(query, keys, values, seen)
        hidden = hidden + self._said_out(attended)
        query = _heads(self._sound_query(self._sound_norm(hidden)), num_heads)
        hidden = hidden + self._sound_out(_attend(query, sound[:, 0], sound[:, 1]))
        return hidden + self._narrow(self._activation(self._widen(self._norm(hidden))))


class DecoderLayers:
    """A Whisper's decoder, from tokens to logits."""

    def __init__(self, model: WhisperForConditionalGeneration) -> None:
        config, decoder = model.config, model.model.decoder
        self._layers = [_Layer(one, config.decoder_attention_heads) for one in decoder.layers]
        self._words: Tensor = decoder.embed_tokens.weight
        self._positions: Tensor = decoder.embed_positions.weight
        self._norm: nn.LayerNorm = decoder.layer_norm
        self._to_logits: Tensor = model.proj_out.weight
        self._num_heads: int = config.decoder_attention_heads
        self._num_frames: int = config.max_source_positions

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._words.device

    @property
    def vocab_size(self) -> int:
        """How many tokens there are to choose from."""
        return len(self._to_logits)

    def cache_shape(self, num_positions: int) -> CacheShape:
        """What is kept of a window of which `num_positions` tokens may be said."""
        return CacheShape(
            num_layers=len(self._layers),
            num_heads=self._num_heads,
            num_frames=self._num_frames,
            num_positions=num_positions,
            width=self._words.shape[1],
            dtype=self._words.dtype,
        )

    def begin(self, prompt: Tensor, encoded: Tensor, cache: Cache, rows: Tensor) -> Tensor:
        """Listen to what the encoder made, once a window, and read the prompt.

        `prompt` is int64 (tokens,), `encoded` (windows, frames, width) and goes to `rows`, int64
        (windows,). Returns the last hidden states, (windows, tokens, width).
        """
        num_tokens, num_windows = len(prompt), len(encoded)
        places = torch.arange(num_tokens, device=prompt.device)
        hidden = (self._words[prompt] + self._positions[:num_tokens]).expand(num_windows, -1, -1)
        seen = _mask(places[None], num_tokens, hidden.dtype)
        for layer, sounds, said in zip(self._layers, cache.sound, cache.said, strict=True):
            sound = layer.listen(encoded)
            sounds.index_copy_(0, rows, sound)

            def keep(new: Tensor, said: Tensor = said) -> Tensor:
                said[:, :num_tokens].index_copy_(0, rows, new)
                return new

            hidden = layer(hidden, sound, keep, seen)
        normed: Tensor = self._norm(hidden)
        return normed

    def __call__(self, tokens: Tensor, positions: Tensor, cache: Cache, span: Span) -> Tensor:
        """The last hidden states, (rows, new tokens, width), of `tokens`, int64 (rows, new tokens).

        A row's first new token stands at its place in `positions`, int64 (rows,); the cache gets
        the keys and values of all of them. Those that matter lie below `span.num_places`.
        """
        rows = torch.arange(span.num_rows, device=tokens.device)[:, None]
        places = positions[:, None] + torch.arange(tokens.shape[1], device=tokens.device)
        # what a draft says behind the model's last position is never taken
        known = places.clamp(max=len(self._positions) - 1)
        hidden = self._words[tokens] + self._positions[known]
        seen = _mask(places, span.num_places, hidden.dtype)
        for layer, sound, said in zip(self._layers, cache.sound, cache.said, strict=True):

            def keep(new: Tensor, said: Tensor = said) -> Tensor:
                said.index_put_((rows, places), new)
                return said[: span.num_rows, : span.num_places]

            hidden = layer(hidden, sound[: span.num_rows], keep, seen)
        normed: Tensor = self._norm(hidden)
        return normed

    def logits(self, hidden: Tensor) -> Tensor:
        """float32, (..., vocabulary)."""
        return functional.linear(hidden, self._to_logits).float()


def _mask(places: Tensor, num_places: int, dtype: torch.dtype) -> Tensor:
    """Added to attention, (rows, 1, tokens, places): minus infinity for what comes later."""
    later = torch.arange(num_places, device=places.device) > places[:, None, :, None]
    return torch.zeros(later.shape, dtype=dtype, device=places.device).masked_fill_(
        later, -torch.inf
    )


def _joined(*projections: nn.Linear) -> _Affine:
    """One projection in place of several; one without a bias gets zeros beside one that has it."""
    if len(projections) == 1:
        return _Affine(projections[0].weight, projections[0].bias)
    weight = torch.cat([one.weight for one in projections])
    bias = torch.cat(
        [weight.new_zeros(len(one.weight)) if one.bias is None else one.bias for one in projections]
    )
    return _Affine(weight, bias)


def _heads(states: Tensor, num_heads: int) -> Tensor:
    """(rows, places, width) as (rows, heads, places, width of a head), without a copy."""
    return states.view(*states.shape[:2], num_heads, -1).transpose(1, 2)


def _attend(query: Tensor, keys: Tensor, values: Tensor, seen: Tensor | None = None) -> Tensor:
    """Attention by heads, back as (rows, places, width); `seen` is added where there is one."""
    found: Tensor = functional.scaled_dot_product_attention(query, keys, values, attn_mask=seen)
    return found.transpose(1, 2).flatten(2)
