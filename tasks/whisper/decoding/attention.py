"""How a decoder's layer listens: the two ways to attend to the sound, and what each keeps of it.

Knows weights and shapes; knows no token and no cache's rows.
"""

from dataclasses import dataclass
from typing import Final, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.whisper.modeling_whisper import WhisperAttention

_MOST_HEADS_ABSORBED: Final = 6

Kept = tuple[Tensor, ...]
"""What is kept of the sound of some windows; the first axis of each is the windows."""


@dataclass(frozen=True, slots=True)
class Affine:
    """A linear map, `weight` (out, in) and `bias` (out,)."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, inputs: Tensor) -> Tensor:
        """Of the last axis."""
        return functional.linear(inputs, self.weight, self.bias)


class Listening(Protocol):
    """A layer's attention to the sound, with its projections."""

    def keep(self, encoded: Tensor) -> Kept:
        """What is to be kept of `encoded`, (windows, frames, width), for this layer."""

    def __call__(self, normed: Tensor, kept: Kept) -> Tensor:
        """What each of `normed`, (windows, tokens, width), hears; of the same shape."""


class ByHead:
    """Keys and values are made once a window and read again for every token."""

    def __init__(self, attention: WhisperAttention, num_heads: int) -> None:
        self._num_heads = num_heads
        self._query = joined(attention.q_proj)
        self._keys_values = joined(attention.k_proj, attention.v_proj)
        self._out = joined(attention.out_proj)

    def keep(self, encoded: Tensor) -> Kept:
        """Keys and values, each (windows, heads, frames, width of a head)."""
        both = self._keys_values(encoded).view(*encoded.shape[:2], 2, self._num_heads, -1)
        keys, values = both.permute(2, 0, 3, 1, 4)
        return keys, values

    def __call__(self, normed: Tensor, kept: Kept) -> Tensor:
        """As in `Listening`."""
        return self._out(attend(heads(self._query(normed), self._num_heads), *kept))


class Absorbed:
    """The encoder's output itself is read; the maps to keys and values are part of the others.

    For a head, q·(W_k x) = (W_kᵀ q)·x and W_o Σ p (W_v x) = (W_o W_v) Σ p x, as in DeepSeek-V2
    (arXiv 2405.04434, section 2.1.2). All layers share what is kept, which then stays near the
    processor instead of streaming through it; in return each head works on the whole width. A bias
    of the keys moves all scores of a query alike, and so drops out.
    """

    def __init__(self, attention: WhisperAttention, num_heads: int) -> None:
        def by_head(weight: Tensor) -> Tensor:
            return weight.double().view(num_heads, -1, *weight.shape[1:])

        query, keys, values = attention.q_proj, attention.k_proj, attention.v_proj
        dtype, scale = query.weight.dtype, (query.out_features // num_heads) ** -0.5
        back = by_head(keys.weight).transpose(1, 2) * scale
        self._query = Affine(
            (back @ by_head(query.weight)).flatten(0, 1).to(dtype),
            (back @ by_head(query.bias)[..., None]).flatten().to(dtype),
        )
        out = attention.out_proj
        out_by_head = by_head(out.weight.T.contiguous()).transpose(1, 2)
        self._out = Affine(
            (out_by_head @ by_head(values.weight)).transpose(0, 1).flatten(1).to(dtype),
            (out.weight.double() @ values.bias.double() + out.bias.double()).to(dtype),
        )

    def keep(self, encoded: Tensor) -> Kept:
        """The same for every layer, (windows, frames, width)."""
        return (encoded,)

    def __call__(self, normed: Tensor, kept: Kept) -> Tensor:
        """As in `Listening`."""
        encoded = kept[0][:, None]
        # to attention there is one head, of the whole width, and each head's query a query of it
        queries = self._query(normed).view(len(normed), 1, -1, encoded.shape[-1])
        found = functional.scaled_dot_product_attention(queries, encoded, encoded, scale=1.0)
        return self._out(found.view(*normed.shape[:2], -1))


def absorbs(device: torch.device, num_heads: int) -> bool:
    """Whether `Absorbed` is the faster: on a processor, as long as the heads are few."""
    return device.type == "cpu" and num_heads <= _MOST_HEADS_ABSORBED


def joined(*projections: nn.Linear) -> Affine:
    """One projection in place of several; one without a bias gets zeros beside one that has it."""
    if len(projections) == 1:
        return Affine(projections[0].weight, projections[0].bias)
    weight = torch.cat([one.weight for one in projections])
    bias = torch.cat(
        [weight.new_zeros(len(one.weight)) if one.bias is None else one.bias for one in projections]
    )
    return Affine(weight, bias)


def heads(states: Tensor, num_heads: int) -> Tensor:
    """(rows, places, width) as (rows, heads, places, width of a head), without a copy."""
    return states.view(*states.shape[:2], num_heads, -1).transpose(1, 2)


def attend(query: Tensor, keys: Tensor, values: Tensor, seen: Tensor | None = None) -> Tensor:
    """Attention by heads, back as (rows, places, width); `seen` is added where there is one."""
    found: Tensor = functional.scaled_dot_product_attention(query, keys, values, attn_mask=seen)
    return found.transpose(1, 2).flatten(2)
