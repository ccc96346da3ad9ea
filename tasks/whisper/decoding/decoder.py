"""Batched decoding, each window at its own step: prefill, step, and move rows.

Encoder output goes in, tokens come out; it has no notion of window ids or audio.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tasks.whisper.decoding.acceptance import MAX_DRAFTED
from tasks.whisper.decoding.cache import KVCache
from tasks.whisper.decoding.graphs import GraphCache, bucket_shape, cuda_recorder
from tasks.whisper.decoding.layers import CacheExtent, DecoderLayers
from tasks.whisper.decoding.rules import DecodingRules
from tasks.whisper.decoding.slots import Slots, Snapshot
from tasks.whisper.decoding.speculation import Drafter
from tasks.whisper.decoding.token_selection import TokenSelector
from tasks.whisper.device import to_device


class Decoder:
    """Memory and rules for up to `num_slots` windows; allocated once, refilled row by row."""

    def __init__(
        self,
        teacher: DecoderLayers,
        draft: DecoderLayers | None,
        rules: DecodingRules,
        num_slots: int,
        graphs: GraphCache | None = None,
    ) -> None:
        """Steps run in `graphs`; by default they are recorded as CUDA graphs on a GPU."""
        device = teacher.device
        self.rules, self.num_slots = rules, num_slots
        self._device, self._teacher = device, teacher
        self._prompt = torch.tensor(rules.prompt, device=device)
        self._selector = TokenSelector(rules, teacher.vocab_size, device)
        self._slots = Slots(rules, num_slots, MAX_DRAFTED if draft else 0, device)
        self._max_positions = self._slots.num_positions
        self._cache = self._new_cache(teacher)
        self._drafter = (
            Drafter(draft, self._new_cache(draft), self._selector, rules)
            if draft is not None
            else None
        )
        self._graphs = graphs or GraphCache(
            cuda_recorder(device) if device.type == "cuda" else None
        )

    @staticmethod
    def bytes_per_slot(
        teacher: DecoderLayers, draft: DecoderLayers | None, rules: DecodingRules
    ) -> int:
        """The memory of one slot, logits included."""
        max_drafted = MAX_DRAFTED if draft else 0
        num_positions = len(rules.prompt) + rules.max_new_tokens + max_drafted
        models = [teacher] if draft is None else [teacher, draft]
        caches = sum(one.cache_shape(num_positions).bytes_per_row for one in models)
        # float32 logits, and about three temporary tensors of the same size
        return caches + 4 * (max_drafted + 1) * teacher.vocab_size * 4

    @torch.inference_mode()
    def prefill(
        self,
        rows: Sequence[int],
        encoded: Tensor,
        seeds: Sequence[int],
        temperatures: Sequence[float],
    ) -> None:
        """Start a window in each of `rows`: fill the cache and select the first token.

        `encoded` is the encoder output, (windows, frames, width); it is not needed afterwards.
        """
        rows_seeds = to_device(torch.tensor([list(rows), list(seeds)]), self._device)
        row_indices, row_seeds = rows_seeds
        row_temperatures = to_device(torch.tensor(temperatures), self._device)
        hidden = self._teacher.prefill(self._prompt, encoded, self._cache, row_indices)
        logits = self._teacher.logits(hidden[:, [0, -1]])
        no_speech = logits[:, 0].softmax(dim=-1)[:, self.rules.no_speech_id]
        first_token, logprob = self._selector.select_first(
            logits[:, 1], row_seeds, row_temperatures if any(temperatures) else None
        )
        self._slots.start(row_indices, first_token, logprob, no_speech, row_seeds, row_temperatures)

    @torch.inference_mode()
    def prefill_draft(self, rows: Sequence[int], encoded: Tensor) -> None:
        """Start windows in the draft's cache, too; only rows for which this was done may draft."""
        if self._drafter is not None:
            row_indices = to_device(torch.tensor(list(rows)), self._device)
            self._drafter.prefill(self._prompt, encoded, row_indices)

    @torch.inference_mode()
    def step(self, num_rows: int, max_position: int, *, num_drafted: int, samples: bool) -> bool:
        """Run one decoding step on the first rows; each gains up to `num_drafted` + 1 tokens.

        `max_position` is an upper bound on the position of any row's last token, and `samples`
        says whether any row has a temperature above 0. After plain steps without `follow` the draft
        lacks tokens, which affects the quality of its drafts only. Returns whether the step took as
        long as such steps take from now on; see `GraphCache.run`.
        """
        extent = self._extent(num_rows, max_position + num_drafted + 1)
        key = (extent, num_drafted, samples)
        return self._graphs.run(
            key, lambda: self._step(extent, num_drafted=num_drafted, samples=samples)
        )

    @torch.inference_mode()
    def follow(self, num_rows: int, max_position: int) -> None:
        """Before a plain step: add the last tokens of the first rows to the draft's cache."""
        if (drafter := self._drafter) is not None:
            extent = self._extent(num_rows, max_position + 1)
            self._graphs.run((extent, None, None), lambda: drafter.follow(self._slots, extent))

    def snapshot(self, num_rows: int) -> Snapshot:
        """The current state of the first rows."""
        return self._slots.snapshot(num_rows)

    def clear_tallies(self) -> None:
        """Count what steps gain from here on; see `Slots`."""
        self._slots.tallies.zero_()

    @torch.inference_mode()
    def move(self, source: int, target: int) -> None:
        """Move a window to another row."""
        self._cache.move(source, target)
        if self._drafter is not None:
            self._drafter.cache.move(source, target)
        self._slots.move(source, target)

    def _step(self, extent: CacheExtent, *, num_drafted: int, samples: bool) -> None:
        inputs, first_positions = self._slots.last_tokens(extent.num_rows, 1)
        if num_drafted and self._drafter is not None:
            inputs = self._drafter.propose(self._slots, extent, num_drafted, samples=samples)
        hidden = self._teacher(inputs, first_positions, self._cache, extent)
        context = self._slots.context(inputs, samples=samples)
        logits = self._teacher.logits(hidden)
        selected, logprobs = self._selector.select_next(logits, context)
        self._slots.accept(inputs, selected, logprobs)

    def _extent(self, num_rows: int, num_positions: int) -> CacheExtent:
        num_positions = min(num_positions, self._max_positions)
        if self._graphs.is_enabled:
            num_rows, num_positions = bucket_shape(
                num_rows,
                num_positions,
                num_slots=self.num_slots,
                max_positions=self._max_positions,
            )
        return CacheExtent(num_rows=num_rows, num_positions=num_positions)

    def _new_cache(self, layers: DecoderLayers) -> KVCache:
        return KVCache(layers.cache_shape(self._max_positions), self.num_slots, self._device)
