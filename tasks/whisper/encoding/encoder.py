"""The forward pass of a Whisper encoder: features in, encoder output out.

The weights are those of transformers, with projections of the same input fused. Deals with tensors
only; it has no notion of windows or text.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.whisper.modeling_whisper import WhisperEncoder, WhisperEncoderLayer

from tasks.whisper.decoding.affine import fuse
from tasks.whisper.decoding.attention import attend, split_heads


class _Layer:
    """The weights of one encoder layer."""

    def __init__(self, layer: WhisperEncoderLayer, num_heads: int, num_frames: int) -> None:
        attention, packed = layer.self_attn, partial(fuse, num_rows=num_frames)
        self._num_heads = num_heads
        self._attention_norm: nn.LayerNorm = layer.self_attn_layer_norm
        self._queries_keys_values = packed(attention.q_proj, attention.k_proj, attention.v_proj)
        self._out = packed(attention.out_proj)
        self._mlp_norm: nn.LayerNorm = layer.final_layer_norm
        self._fc1 = packed(layer.fc1, activation=layer.activation_fn)
        self._fc2 = packed(layer.fc2)

    def __call__(self, hidden: Tensor) -> Tensor:
        projected = self._queries_keys_values(self._attention_norm(hidden))
        query, keys, values = (
            split_heads(one, self._num_heads) for one in projected.chunk(3, dim=-1)
        )
        hidden = hidden + self._out(attend(query, keys, values))
        return hidden + self._fc2(self._fc1(self._mlp_norm(hidden)))


class EncoderLayers:
    """A Whisper encoder, from features to its output; equal to that of transformers to rounding."""

    def __init__(self, encoder: WhisperEncoder) -> None:
        self._conv1: nn.Conv1d = encoder.conv1
        self._conv2: nn.Conv1d = encoder.conv2
        self._positions: Tensor = encoder.embed_positions.weight
        num_heads = encoder.config.encoder_attention_heads
        layers: Iterable[Any] = encoder.layers
        self._layers = [_Layer(layer, num_heads, len(self._positions)) for layer in layers]
        self._norm: nn.LayerNorm = encoder.layer_norm

    @torch.inference_mode()
    def __call__(self, features: Tensor) -> Tensor:
        """The output for features (windows, mels, 2 x frames), as (windows, frames, width)."""
        if features.device.type == "cpu" and len(features) > 1:
            # the activations of a single window stay in the cache of a core
            return torch.cat([self(one[None]) for one in features])
        hidden = functional.gelu(self._conv1(features))
        hidden = functional.gelu(self._conv2(hidden)).transpose(1, 2) + self._positions
        for layer in self._layers:
            hidden = layer(hidden)
        normed: Tensor = self._norm(hidden)
        return normed
