"""Which token comes next, given the logits: the likeliest or a sampled one of those allowed.

The same for teacher and draft. Knows token ids; runs no model.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.whisper.decoding.noise import gumbel
from tasks.whisper.decoding.rules import DecodingRules
from tasks.whisper.decoding.timestamps import apply_timestamp_rules, latest_times


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """What was said before the tokens to choose, one after each of `tokens`, int64 (rows, tokens).

    Of each row, int64 (rows,): `earlier` is the token before the first of them, `latest` the
    highest timestamp before them, `steps` the number of the first token to choose, from 0, `seeds`
    what decides its noise and `temperatures`, float32, how much of it there is; None: nowhere any.
    """

    tokens: Tensor
    earlier: Tensor
    latest: Tensor
    steps: Tensor
    seeds: Tensor
    temperatures: Tensor | None


class Choice:
    """The rules of a stream of windows, ready on the device of the logits."""

    def __init__(self, rules: DecodingRules, vocab_size: int, device: torch.device) -> None:
        self._times = rules.timestamps
        first, later = torch.zeros((2, vocab_size))
        later[list(rules.suppressed_ids)] = -torch.inf
        if rules.timestamps is not None:
            later[rules.timestamps.no_timestamps_id] = -torch.inf
            first[: rules.timestamps.first_id] = -torch.inf
            if rules.timestamps.max_initial_steps is not None:
                latest = rules.timestamps.first_id + rules.timestamps.max_initial_steps
                first[latest + 1 :] = -torch.inf
        first[list(rules.suppressed_first_ids)] = -torch.inf
        # added to logits: minus infinity forbids
        self._first, self._later = (first + later).to(device), later.to(device)

    def first(
        self, logits: Tensor, seeds: Tensor, temperatures: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The first token of an answer and its log-probability, (rows,), after the rules.

        `logits` is float32 (rows, vocabulary); the others are as in `Before`.
        """
        return _pick(logits + self._first, seeds, torch.zeros_like(seeds), temperatures)

    def next(self, logits: Tensor, before: Before) -> tuple[Tensor, Tensor]:
        """The next token after each of the last that were said, and its log-probability.

        `logits` is float32 (rows, as many of the last, vocabulary), the results (rows, as many).
        """
        logits, said = logits + self._later, before.tokens
        asked = slice(said.shape[1] - logits.shape[1], None)
        if self._times is not None:
            before_last = torch.cat([before.earlier[:, None], said[:, :-1]], dim=1)[:, asked]
            latest = latest_times(before.latest, said, self._times)[:, asked]
            logits = apply_timestamp_rules(logits, before_last, said[:, asked], latest, self._times)
        steps = before.steps[:, None] + torch.arange(said.shape[1], device=said.device)[asked]
        heat = before.temperatures
        return _pick(
            logits,
            before.seeds[:, None].expand_as(steps),
            steps,
            None if heat is None else heat[:, None].expand(steps.shape),
        )


def _pick(
    logits: Tensor, seeds: Tensor, steps: Tensor, temperatures: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Log-probabilities are without the temperature, as in openai/whisper."""
    best, tokens = logits.max(dim=-1)
    if temperatures is not None:
        noise = gumbel(seeds, steps, logits.shape[-1])
        # a temperature of 0 asks for the likeliest, which without noise is that at any other too
        divisors = temperatures.where(temperatures > 0, 1.0)[..., None]
        sampled = (logits / divisors + noise).argmax(dim=-1)
        tokens = sampled.where(temperatures > 0, tokens)
        best = logits.gather(-1, tokens[..., None]).squeeze(-1)
    return tokens, best - logits.logsumexp(dim=-1)
