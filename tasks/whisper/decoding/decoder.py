"""Many windows decoded together, each at its own step: begun, gone on with and moved by row.

The encoder's output goes in, tokens come out. Knows no window's name and no sound.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from tasks.whisper.decoding.cache import Cache
from tasks.whisper.decoding.choice import Choice
from tasks.whisper.decoding.graphs import Graphs, few_shapes, gpu_recorder
from tasks.whisper.decoding.layers import DecoderLayers, Span
from tasks.whisper.decoding.rules import DecodingRules
from tasks.whisper.decoding.slots import Slots, Snapshot
from tasks.whisper.decoding.speculate import NUM_DRAFTED, Drafter
from tasks.whisper.features import sent


class Decoder:
    """Memory and rules for up to `num_slots` windows; allocated once, refilled row by row."""

    def __init__(
        self,
        teacher: DecoderLayers,
        draft: DecoderLayers | None,
        rules: DecodingRules,
        num_slots: int,
    ) -> None:
        device = teacher.device
        self.rules, self.num_slots = rules, num_slots
        self._device, self._teacher = device, teacher
        self._prompt = torch.tensor(rules.prompt, device=device)
        self._choice = Choice(rules, teacher.vocab_size, device)
        self._slots = Slots(rules, num_slots, NUM_DRAFTED if draft else 0, device)
        self._num_positions = self._slots.num_positions
        self._cache = self._new_cache(teacher)
        self._drafter = (
            Drafter(draft, self._new_cache(draft), self._choice) if draft is not None else None
        )
        self._graphs = Graphs(gpu_recorder(device) if device.type == "cuda" else None)

    @staticmethod
    def bytes_per_slot(
        teacher: DecoderLayers, draft: DecoderLayers | None, rules: DecodingRules
    ) -> int:
        """The memory that one more window takes, logits included."""
        num_drafted = NUM_DRAFTED if draft else 0
        num_positions = len(rules.prompt) + rules.max_new_tokens + num_drafted
        models = [teacher] if draft is None else [teacher, draft]
        caches = sum(one.cache_shape(num_positions).bytes_per_row for one in models)
        # float32 logits, and about as much again for each thing done with them
        return caches + 4 * (num_drafted + 1) * teacher.vocab_size * 4

    @torch.inference_mode()
    def begin(
        self,
        rows: Sequence[int],
        encoded: Sequence[Tensor],
        seeds: Sequence[int],
        temperatures: Sequence[float],
    ) -> None:
        """Put a window in each of `rows` and choose the first token of its answer.

        `encoded` is the output of the encoder, (windows, frames, width), for the teacher and, if
        there is one, the draft. This is the one time that it is looked at.
        """
        placed, seeded = sent(torch.tensor([list(rows), list(seeds)]), self._device)
        heat = sent(torch.tensor(temperatures), self._device)
        hidden = self._teacher.begin(self._prompt, encoded[0], self._cache, placed)
        logits = self._teacher.logits(hidden[:, [0, -1]])
        no_speech = logits[:, 0].softmax(dim=-1)[:, self.rules.no_speech_id]
        sampled_at = heat if any(temperatures) else None
        first, logprob = self._choice.first(logits[:, 1], seeded, sampled_at)
        self._slots.open(placed, first, logprob, no_speech, seeded, heat)
        if self._drafter is not None:
            drafter = self._drafter
            drafter.layers.begin(self._prompt, encoded[1], drafter.cache, placed)

    @torch.inference_mode()
    def go_on(self, num_rows: int, longest: int, *, speculate: bool, samples: bool) -> int:
        """One round for the first rows; returns how many tokens each may have gained at most.

        `samples` says whether any of them has a temperature.
        `longest` is the position of the last token of the longest of them, or more. What is not
        speculated leaves gaps in what the draft has read, which spoils at most its guesses.
        """
        num_gained = NUM_DRAFTED + 1 if speculate else 1
        num_places = min(longest + num_gained, self._num_positions)
        if self._graphs.are_recorded:
            num_rows, num_places = few_shapes(
                num_rows,
                num_places,
                num_slots=self.num_slots,
                num_positions=self._num_positions,
            )
        span = Span(num_rows=num_rows, num_places=num_places)
        key = (span, speculate, samples)
        self._graphs.run(key, lambda: self._round(span, speculate=speculate, samples=samples))
        return num_gained

    def snapshot(self, num_rows: int) -> Snapshot:
        """What has been said in the first rows up to now."""
        return self._slots.snapshot(num_rows)

    @torch.inference_mode()
    def move(self, source: int, target: int) -> None:
        """Let a window go on in another row."""
        self._cache.move(source, target)
        if self._drafter is not None:
            self._drafter.cache.move(source, target)
        self._slots.move(source, target)

    def _round(self, span: Span, *, speculate: bool, samples: bool) -> None:
        fed, start = self._slots.last_tokens(span.num_rows, 1)
        if speculate and self._drafter is not None:
            fed = self._drafter.propose(self._slots, span, samples=samples)
        hidden = self._teacher(fed, start, self._cache, span)
        before = self._slots.before(fed, samples=samples)
        chosen, logprobs = self._choice.next(self._teacher.logits(hidden), before)
        self._slots.accept(fed, chosen, logprobs)

    def _new_cache(self, layers: DecoderLayers) -> Cache:
        return Cache(layers.cache_shape(self._num_positions), self.num_slots, self._device)
