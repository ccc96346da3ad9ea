"""Speculative decoding: a small model drafts tokens, the teacher verifies them in one step.

A Whisper decoder is bound by reading the cross-attention keys and values; verifying several drafted
tokens reads them once for all (Leviathan et al., "Fast inference from transformers via speculative
decoding", 2023). The resulting tokens are the teacher's own. Drafting is used only if measured to
be faster.
"""

import logging
import threading
from statistics import median
from typing import Final

import torch
from torch import Tensor

from tasks.whisper.decoding.cache import KVCache
from tasks.whisper.decoding.layers import CacheExtent, DecoderLayers
from tasks.whisper.decoding.slots import Slots
from tasks.whisper.decoding.token_selection import TokenSelector

NUM_DRAFTED: Final = 4
"""Tokens drafted per step; more are rarely all accepted."""

_LOG = logging.getLogger(__name__)
_WARM_UP_STEPS: Final = 4
_TRIAL_STEPS: Final = 24


class Drafter:
    """The draft model of a batch, with a KV cache of its own."""

    def __init__(self, layers: DecoderLayers, cache: KVCache, selector: TokenSelector) -> None:
        self.layers, self.cache, self._selector = layers, cache, selector

    def propose(self, slots: Slots, extent: CacheExtent, *, samples: bool) -> Tensor:
        """The last token of the first rows and `NUM_DRAFTED` more, int64 (rows, tokens).

        Rules and sampling noise are the teacher's, so that drafts agree as often as possible.
        """
        # the last drafted token that was accepted is not in the draft's cache yet
        inputs, first_positions = slots.last_tokens(extent.num_rows, 2)
        tokens = inputs[:, 1:]
        for _ in range(NUM_DRAFTED):
            hidden = self.layers(inputs, first_positions, self.cache, extent)
            logits = self.layers.logits(hidden[:, -1:])
            context = slots.context(tokens, samples=samples)
            drafted, _ = self._selector.select_next(logits, context)
            first_positions = first_positions + inputs.shape[1]
            inputs = drafted
            tokens = torch.cat([tokens, drafted], dim=1)
        return tokens


class SpeculationTrial:
    """Measures on the first windows whether drafting pays: steps with a draft, then without.

    Several schedulers may record steps at the same time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: dict[bool, list[float]] = {True: [], False: []}
        self._gains: dict[bool, list[float]] = {True: [], False: []}
        self._pays: bool | None = None

    @property
    def is_over(self) -> bool:
        """Whether the decision has been made."""
        return self._pays is not None

    @property
    def speculates(self) -> bool:
        """Whether the next step should use the draft."""
        if self._pays is not None:
            return self._pays
        return len(self._gains[True]) < _WARM_UP_STEPS + _TRIAL_STEPS

    def record(self, seconds: float, tokens_per_row: float, *, speculated: bool) -> None:
        """Record the duration of a step and the tokens it added per row."""
        with self._lock:
            self._seconds[speculated].append(seconds)
            self._gains[speculated].append(tokens_per_row)
            if self._pays is None and len(self._gains[False]) >= _WARM_UP_STEPS + _TRIAL_STEPS:
                self._decide()

    def _decide(self) -> None:
        measured = slice(_WARM_UP_STEPS, None)
        step_s = {which: median(self._seconds[which][measured]) for which in (True, False)}
        gains = self._gains[True][measured]
        mean_gain = sum(gains) / len(gains)
        self._pays = mean_gain * step_s[False] > step_s[True]
        _LOG.info(
            "speculative decoding is %s: a step that verifies %d drafted tokens gains %.2f tokens"
            " in %.1f ms, a plain step takes %.1f ms",
            "on" if self._pays else "off",
            NUM_DRAFTED,
            mean_gain,
            1e3 * step_s[True],
            1e3 * step_s[False],
        )
