"""Which token comes next, given the logits: the likeliest or a sampled one of those allowed.

The same for teacher and draft. Knows token ids; runs no model.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.label.noise import gumbel
from tasks.label.rules import DecodingRules
from tasks.label.timestamps import apply_timestamp_rules, latest_times


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """What was said before the tokens to choose, one after each of `tokens`, int64 (rows, tokens).

    Of each row, int64 (rows,): `earlier` is the token before the first of them, `latest` the
    highest timestamp before them, `steps` the number of the first token to choose, from 0, and
    `seeds` what decides its noise.
    """

    tokens: Tensor
    earlier: Tensor
    latest: Tensor
    steps: Tensor
    seeds: Tensor


class Choice:
    """The rules of a stream of windows, ready on the device of the logits; greedy at first."""

    def __init__(self, rules: DecodingRules, vocab_size: int, device: torch.device) -> None:
        self._times = rules.timestamps
        self.samples = False
        # a recorded round reads it from where it is
        self._temperature = torch.ones((), device=device)
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

    def set_temperature(self, temperature: float) -> None:
        """Sample at this temperature from now on, or take the likeliest at 0."""
        self.samples = temperature > 0.0
        self._temperature.fill_(temperature)

    def first(self, logits: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
        """The first token of an answer and its log-probability, (rows,), after the rules.

        `logits` is float32 (rows, vocabulary), `seeds` int64 (rows,).
        """
        return self._pick(logits + self._first, seeds, torch.zeros_like(seeds))

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
        return self._pick(logits, before.seeds[:, None].expand_as(steps), steps)

    def _pick(self, logits: Tensor, seeds: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities are without the temperature, as in openai/whisper."""
        if not self.samples:
            best, tokens = logits.max(dim=-1)
            return tokens, best - logits.logsumexp(dim=-1)
        noise = gumbel(seeds, steps, logits.shape[-1])
        tokens = (logits / self._temperature + noise).argmax(dim=-1)
        picked = logits.gather(-1, tokens[..., None]).squeeze(-1)
        return tokens, picked - logits.logsumexp(dim=-1)
