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

from tasks.whisper.decoding.attention import (
    Absorbed,
    ByHead,
    Kept,
    Listening,
    absorbs,
    attend,
    heads,
    joined,
)
from tasks.whisper.decoding.cache import Cache, CacheShape

Keep = Callable[[Tensor], Tensor]
"""Puts a layer's new keys and values away; returns all that the new tokens may look at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """The first rows of the caches, and how many of their places are looked at."""

    num_rows: int
    num_places: int


class _Layer:
    """The weights of one layer."""

    def __init__(self, layer: WhisperDecoderLayer, num_heads: int, *, absorbs: bool) -> None:
        said = layer.self_attn
        self._num_heads = num_heads
        self._said_norm: nn.LayerNorm = layer.self_attn_layer_norm
        self._said_in = joined(said.q_proj, said.k_proj, said.v_proj)
        self._said_out = joined(said.out_proj)
        self._sound_norm: nn.LayerNorm = layer.encoder_attn_layer_norm
        way: type[Absorbed | ByHead] = Absorbed if absorbs else ByHead
        self.listening: Listening = way(layer.encoder_attn, num_heads)
        self._norm: nn.LayerNorm = layer.final_layer_norm
        self._widen, self._narrow = joined(layer.fc1), joined(layer.fc2)
        self._activation: nn.Module = layer.activation_fn

    def __call__(self, hidden: Tensor, sound: Kept, keep: Keep, seen: Tensor) -> Tensor:
        """`sound` is of these rows, and `seen` the mask over what `keep` returns."""
        width, num_heads = hidden.shape[-1], self._num_heads
        projected = self._said_in(self._said_norm(hidden))
        said = keep(projected[..., width:].view(*hidden.shape[:2], 2, width))
        query = heads(projected[..., :width], num_heads)
        keys, values = (heads(said[:, :, which], num_heads) for which in (0, 1))
        attended = attend(query, keys, values, seen)
        hidden = hidden + self._said_out(attended)
        hidden = hidden + self.listening(self._sound_norm(hidden), sound)
        return hidden + self._narrow(self._activation(self._widen(self._norm(hidden))))


class DecoderLayers:
    """A Whisper's decoder, from tokens to logits."""

    def __init__(self, model: WhisperForConditionalGeneration) -> None:
        config, decoder = model.config, model.model.decoder
        self._num_heads: int = config.decoder_attention_heads
        self._absorbs = absorbs(model.device, self._num_heads)
        self._layers = [
            _Layer(one, self._num_heads, absorbs=self._absorbs) for one in decoder.layers
        ]
        self._words: Tensor = decoder.embed_tokens.weight
        self._positions: Tensor = decoder.embed_positions.weight
        self._norm: nn.LayerNorm = decoder.layer_norm
        self._to_logits: Tensor = model.proj_out.weight
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
            shares_sound=self._absorbs,
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
        for number, (layer, said) in enumerate(zip(self._layers, cache.said, strict=True)):
            sound = layer.listening.keep(encoded)
            cache.put_sound(number, rows, sound)

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

            heard = tuple(kept[: span.num_rows] for kept in sound)
            hidden = layer(hidden, heard, keep, seen)
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
