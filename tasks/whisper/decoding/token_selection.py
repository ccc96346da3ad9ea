"""Selects the next token from logits, greedily or by sampling, among the tokens that are allowed.

Teacher and draft share it. Deals with token ids only; it runs no model.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.whisper.decoding.noise import gumbel
from tasks.whisper.decoding.rules import DecodingRules
from tasks.whisper.decoding.timestamps import apply_timestamp_rules, running_max_timestamp


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectionContext:
    """The tokens that precede those to select; one is selected after each of `tokens`.

    `tokens` is int64 (rows, tokens). The others are per row, int64 (rows,): `previous_token` stands
    before the first of `tokens`, `max_timestamp` is the highest timestamp before them,
    `first_index` the index in the hypothesis of the first token to select, and `seeds` the seed of
    the sampling noise. `temperatures` is float32 (rows,), None if all rows are decoded greedily.
    """

    tokens: Tensor
    previous_token: Tensor
    max_timestamp: Tensor
    first_index: Tensor
    seeds: Tensor
    temperatures: Tensor | None


class TokenSelector:
    """Decoding rules as masks on the device of the logits."""

    def __init__(self, rules: DecodingRules, vocab_size: int, device: torch.device) -> None:
        self._timestamp_rules = rules.timestamps
        # added to the logits; minus infinity forbids a token
        first_mask, mask = torch.zeros((2, vocab_size))
        mask[list(rules.suppressed_ids)] = -torch.inf
        if rules.timestamps is not None:
            mask[rules.timestamps.no_timestamps_id] = -torch.inf
            first_mask[: rules.timestamps.first_id] = -torch.inf
            if rules.timestamps.max_initial_steps is not None:
                latest = rules.timestamps.first_id + rules.timestamps.max_initial_steps
                first_mask[latest + 1 :] = -torch.inf
        first_mask[list(rules.suppressed_first_ids)] = -torch.inf
        self._first_mask, self._mask = (first_mask + mask).to(device), mask.to(device)

    def select_first(
        self, logits: Tensor, seeds: Tensor, temperatures: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Select the first token of each hypothesis; returns ids and log-probabilities, (rows,).

        `logits` is float32 (rows, vocabulary); for the others see `SelectionContext`.
        """
        return _select(logits + self._first_mask, seeds, torch.zeros_like(seeds), temperatures)

    def select_next(self, logits: Tensor, context: SelectionContext) -> tuple[Tensor, Tensor]:
        """Select a token after each of the last n of `context.tokens`.

        `logits` is float32 (rows, n, vocabulary). Returns ids and log-probabilities, (rows, n).
        """
        logits, tokens = logits + self._mask, context.tokens
        selected = slice(tokens.shape[1] - logits.shape[1], None)
        if self._timestamp_rules is not None:
            second_to_last = torch.cat([context.previous_token[:, None], tokens[:, :-1]], dim=1)
            max_timestamp = running_max_timestamp(
                context.max_timestamp, tokens, self._timestamp_rules
            )
            logits = apply_timestamp_rules(
                logits,
                second_to_last[:, selected],
                tokens[:, selected],
                max_timestamp[:, selected],
                self._timestamp_rules,
            )
        offsets = torch.arange(tokens.shape[1], device=tokens.device)[selected]
        indices = context.first_index[:, None] + offsets
        temperatures = context.temperatures
        return _select(
            logits,
            context.seeds[:, None].expand_as(indices),
            indices,
            None if temperatures is None else temperatures[:, None].expand(indices.shape),
        )


def _select(
    logits: Tensor, seeds: Tensor, indices: Tensor, temperatures: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Log-probabilities do not include the temperature, as in openai/whisper."""
    selected_logits, tokens = logits.max(dim=-1)
    if temperatures is not None:
        noise = gumbel(seeds, indices, logits.shape[-1])
        # at temperature 0 the greedy token replaces the sample below, so any divisor will do
        divisors = temperatures.where(temperatures > 0, 1.0)[..., None]
        sampled = (logits / divisors + noise).argmax(dim=-1)
        tokens = sampled.where(temperatures > 0, tokens)
        selected_logits = logits.gather(-1, tokens[..., None]).squeeze(-1)
    return tokens, selected_logits - logits.logsumexp(dim=-1)
