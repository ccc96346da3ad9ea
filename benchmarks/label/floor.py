"""A lower bound for any engine: the matrix products of encoder and decoder.

On a GPU counted, in operations and bytes; on a processor measured, the same products in a bare loop
with nothing around them: no norms, no choice of tokens, no text.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv1d, scaled_dot_product_attention

from tasks.whisper.decoding.affine import Affine

H200_FLOP_PER_S = 790e12  # reached by dense bf16 products
H200_BYTES_PER_S = 4.3e12
_ENCODED_AT_ONCE = 4


@dataclass(frozen=True)
class Floor:
    """Lower bounds in seconds for encoder and decoder."""

    encoder_s: float
    decoder_s: float

    @property
    def seconds(self) -> float:
        """Their sum."""
        return self.encoder_s + self.decoder_s


@dataclass(frozen=True)
class Work:
    """The amount of work: windows and tokens, with `num_rows` windows decoded at once."""

    config: Any  # a WhisperConfig
    num_windows: int
    num_tokens: int
    num_rows: int

    @property
    def num_steps(self) -> int:
        """The number of decoding steps if all rows are always occupied."""
        return math.ceil(self.num_tokens / self.num_rows)

    @property
    def mean_context(self) -> int:
        """The mean number of earlier tokens that a step attends to."""
        return max(1, self.num_tokens // self.num_windows // 2)


def counted(work: Work, bytes_per_value: int) -> Floor:
    """The bound for an H200, by counting; a step reads the decoder weights once for all rows."""
    config = work.config
    width, ffn, frames = config.d_model, config.encoder_ffn_dim, config.max_source_positions
    of_layer = 2 * frames * (4 * width**2 + 2 * width * ffn) + 4 * frames**2 * width
    of_convolutions = 2 * 3 * width * frames * (2 * config.num_mel_bins + width)
    of_cross = config.decoder_layers * 4 * frames * width**2
    flop = config.encoder_layers * of_layer + of_convolutions + of_cross
    per_token = 2 * width * config.decoder_layers * (frames + work.mean_context)
    layer_weights = 8 * width**2 + 2 * width * config.decoder_ffn_dim
    weights = config.decoder_layers * layer_weights + config.vocab_size * width
    read = bytes_per_value * (work.num_tokens * per_token + work.num_steps * weights)
    return Floor(
        encoder_s=work.num_windows * flop / H200_FLOP_PER_S,
        decoder_s=max(read / H200_BYTES_PER_S, 2 * work.num_tokens * weights / H200_FLOP_PER_S),
    )


@torch.inference_mode()
def measured(work: Work, dtype: torch.dtype, device: torch.device) -> Floor:
    """The bound for this machine, by running the bare products."""
    encode = _encoding(work, _Made(dtype, device, work.config.max_source_positions))
    decode = _decoding(work, _Made(dtype, device, work.num_rows))
    started_s = perf_counter()
    encode()
    encoded_s = perf_counter()
    decode()
    return Floor(encoded_s - started_s, perf_counter() - encoded_s)


@dataclass(frozen=True)
class _Made:
    """Tensors whose values do not matter, and products with inputs of about `num_rows` rows."""

    dtype: torch.dtype
    device: torch.device
    num_rows: int

    def some(self, *shape: int) -> Tensor:
        return torch.full(shape, 0.01, dtype=self.dtype, device=self.device)

    def product(self, num_outputs: int, num_inputs: int) -> Affine:
        return Affine(self.some(num_outputs, num_inputs), num_rows=self.num_rows)


def _encoding(work: Work, made: _Made) -> Callable[[], None]:
    """The products of the encoder, with weights that are made already."""
    config = work.config
    width, heads, frames = (
        config.d_model,
        config.encoder_attention_heads,
        config.max_source_positions,
    )

    some, product = made.some, made.product
    first, second = some(width, config.num_mel_bins, 3), some(width, width, 3)
    layers = [
        (
            product(3 * width, width), product(width, width), product(4 * width, width),
            product(width, 4 * width),
        )
        for _ in range(config.encoder_layers)
    ]  # fmt: skip
    to_cross = [product(2 * width, width) for _ in range(config.decoder_layers)]

    def run() -> None:
        for start in range(0, work.num_windows, _ENCODED_AT_ONCE):
            num_windows = min(_ENCODED_AT_ONCE, work.num_windows - start)
            features = conv1d(some(num_windows, config.num_mel_bins, 2 * frames), first, padding=1)
            state = conv1d(features, second, stride=2, padding=1).transpose(1, 2).contiguous()
            for attention, out, wide, narrow in layers:
                queries, keys, values = (
                    part.reshape(num_windows, frames, heads, -1).transpose(1, 2)
                    for part in attention(state).chunk(3, dim=2)
                )
                attended = scaled_dot_product_attention(queries, keys, values)
                state = narrow(wide(out(attended.transpose(1, 2).flatten(2))))
            for cross in to_cross:
                cross(state)

    return run


def _decoding(work: Work, made: _Made) -> Callable[[], None]:
    """The products of the decoder, with weights that are made already."""
    config = work.config
    width, heads, rows = config.d_model, config.decoder_attention_heads, work.num_rows
    head = width // heads

    some, product = made.some, made.product
    layers = [
        (
            product(3 * width, width), product(width, width), product(width, width),
            product(width, width), product(4 * width, width), product(width, 4 * width),
            some(rows, heads, work.mean_context, head), some(rows, heads, work.mean_context, head),
            some(rows, heads, config.max_source_positions, head),
            some(rows, heads, config.max_source_positions, head),
        )
        for _ in range(config.decoder_layers)
    ]  # fmt: skip
    vocabulary = product(config.vocab_size, width)

    def run() -> None:
        for _ in range(work.num_steps):
            state = some(rows, width)
            for attention, out, ask, answer, wide, narrow, *caches in layers:
                queries = attention(state)[:, :width].view(rows, heads, 1, head)
                attended = scaled_dot_product_attention(queries, caches[0], caches[1])
                state = out(attended.reshape(rows, width))
                queries = ask(state).view(rows, heads, 1, head)
                attended = scaled_dot_product_attention(queries, caches[2], caches[3])
                state = narrow(wide(answer(attended.reshape(rows, width))))
            vocabulary(state)

    return run
