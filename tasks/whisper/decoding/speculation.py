"""Speculative decoding: a small model drafts tokens, the teacher verifies them in one step.

A Whisper decoder is bound by reading weights and the cross-attention keys and values; verifying
several drafted tokens reads them once for all (Leviathan et al., "Fast inference from transformers
via speculative decoding", 2023). The resulting tokens are the teacher's own.
"""

from typing import Final

import torch
from torch import Tensor

from tasks.whisper.decoding.cache import KVCache
from tasks.whisper.decoding.layers import CacheExtent, DecoderLayers
from tasks.whisper.decoding.rules import DecodingRules
from tasks.whisper.decoding.slots import Slots
from tasks.whisper.decoding.token_selection import TokenSelector

_FAST_BFLOAT16: Final = ("avx512_bf16", "amx_bf16")


class Drafter:
    """The draft model of a batch, with a KV cache of its own."""

    def __init__(
        self, layers: DecoderLayers, cache: KVCache, selector: TokenSelector, rules: DecodingRules
    ) -> None:
        self._layers, self._selector, self._rules = layers, selector, rules
        self.cache = cache
        self._is_english = rules.language == "en"
        if self._is_english:
            layers.prepare_frequent(rules.end_id)

    def prefill(self, prompt: Tensor, encoded: Tensor, rows: Tensor) -> None:
        """Start windows in `rows`; see `DecoderLayers.prefill`."""
        self._layers.prefill(prompt, encoded.to(self._layers.dtype), self.cache, rows)

    def propose(
        self, slots: Slots, extent: CacheExtent, num_drafted: int, *, samples: bool
    ) -> Tensor:
        """The last token of the first rows and so many drafted ones, int64 (rows, tokens).

        Rules and sampling noise are the teacher's, so that drafts agree as often as possible.
        """
        # the last drafted token that was accepted is not in the draft's cache yet
        inputs, first_positions = slots.last_tokens(extent.num_rows, 2)
        tokens = inputs[:, 1:]
        for _ in range(num_drafted):
            hidden = self._layers(inputs, first_positions, self.cache, extent)
            logits = self._logits(hidden[:, -1:])
            context = slots.context(tokens, samples=samples)
            drafted, _ = self._selector.select_next(logits, context)
            first_positions = first_positions + inputs.shape[1]
            inputs = drafted
            tokens = torch.cat([tokens, drafted], dim=1)
        return tokens

    def _logits(self, hidden: Tensor) -> Tensor:
        """Of frequent tokens alone where those are known to be most of a text."""
        if self._is_english:
            return self._layers.logits_of_frequent(hidden, self._rules.end_id)
        return self._layers.logits(hidden)

    def follow(self, slots: Slots, extent: CacheExtent) -> None:
        """Add the last tokens of the first rows to the cache, as `propose` does."""
        inputs, first_positions = slots.last_tokens(extent.num_rows, 2)
        self._layers(inputs, first_positions, self.cache, extent)


def draft_dtype(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """The precision of a draft for a teacher in `dtype`: bfloat16 on CPUs that compute in it.

    A draft decides no token, and its time is that of reading its weights.
    """
    if device.type != "cpu":
        return dtype
    found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # not in every torch
    return torch.bfloat16 if any(found.get(one) for one in _FAST_BFLOAT16) else dtype
