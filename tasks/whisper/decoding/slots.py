"""What has been said in the windows that are decoded, a row each, on the device.

Knows tokens and when an answer ends; knows no model and no sound. Nothing here waits for the
device, so that a round can be recorded as a graph.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.whisper.decoding.choice import Before
from tasks.whisper.decoding.rules import DecodingRules
from tasks.whisper.decoding.timestamps import latest_times


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """The rows at one time, on the host once `wait` returns."""

    tokens: Tensor
    position: Tensor
    ended: Tensor
    sum_logprob: Tensor
    no_speech: Tensor
    ready: torch.cuda.Event | None

    def wait(self) -> None:
        """Until the device has come this far."""
        if self.ready is not None:
            self.ready.synchronize()


class Slots:
    """`tokens` is int64 (rows, tokens) with the prompt; a row's last token is at its `position`.

    A row that has ended stays as it is until another window takes its place.
    """

    def __init__(
        self, rules: DecodingRules, num_rows: int, num_drafted: int, device: torch.device
    ) -> None:
        self._rules, self._device = rules, device
        self._last_position = len(rules.prompt) + rules.max_new_tokens - 1
        self.num_positions = self._last_position + 1 + num_drafted
        """The places that a cache needs: a draft may say more than an answer may have."""

        def filled(value: float, dtype: torch.dtype) -> Tensor:
            return torch.full((num_rows,), value, dtype=dtype, device=device)

        self.tokens = torch.full(
            (num_rows, self.num_positions + 1), rules.end_id, dtype=torch.long, device=device
        )
        self.tokens[:, : len(rules.prompt)] = torch.tensor(rules.prompt, device=device)
        self.position = filled(len(rules.prompt), torch.long)
        self.ended = filled(True, torch.bool)
        self.sum_logprob = filled(0.0, torch.float32)
        self.no_speech = filled(0.0, torch.float32)
        self.seeds = filled(0, torch.long)
        self.temperatures = filled(0.0, torch.float32)
        self._latest = filled(0, torch.long)

    def open(
        self,
        rows: Tensor,
        first: Tensor,
        logprob: Tensor,
        no_speech: Tensor,
        seeds: Tensor,
        temperatures: Tensor,
    ) -> None:
        """New windows in `rows`, int64, with the first token of each answer; all (windows,)."""
        rules, num_prompt = self._rules, len(self._rules.prompt)
        self.tokens[rows, num_prompt] = first
        self.position[rows] = num_prompt
        self.ended[rows] = (first == rules.end_id) | (num_prompt >= self._last_position)
        self.sum_logprob[rows], self.no_speech[rows] = logprob, no_speech
        self.seeds[rows], self.temperatures[rows] = seeds, temperatures
        if rules.timestamps is not None:
            self._latest[rows] = first

    def last_tokens(self, num_rows: int, num_tokens: int) -> tuple[Tensor, Tensor]:
        """The last tokens of the first rows, (rows, tokens), and the place of the first of them."""
        start = self.position[:num_rows] - (num_tokens - 1)
        places = start[:, None] + torch.arange(num_tokens, device=self._device)
        return self.tokens[:num_rows].gather(1, places), start

    def before(self, tokens: Tensor, *, samples: bool) -> Before:
        """What the first rows have said before and with `tokens`, whose first is their last.

        `samples` says whether there is any row with a temperature.
        """
        num_rows, num_prompt = len(tokens), len(self._rules.prompt)
        position = self.position[:num_rows]
        earlier = self.tokens[:num_rows].gather(1, position[:, None] - 1).squeeze(1)
        if (times := self._rules.timestamps) is not None:
            earlier = earlier.where(position > num_prompt, times.first_id)
        return Before(
            tokens=tokens,
            earlier=earlier,
            latest=self._latest[:num_rows],
            steps=position - num_prompt + 1,
            seeds=self.seeds[:num_rows],
            temperatures=self.temperatures[:num_rows] if samples else None,
        )

    def accept(self, fed: Tensor, chosen: Tensor, logprobs: Tensor) -> None:
        """Go on by what was chosen after each token that was `fed`, all (rows, tokens).

        The first of `fed` is a row's last token and what follows was drafted: what was chosen
        counts as far as the draft agrees, and one further.
        """
        num_rows, num_fed = chosen.shape
        columns = torch.arange(num_fed, device=self._device)
        position, ended = self.position[:num_rows], self.ended[:num_rows]
        agreed = (chosen[:, :-1] == fed[:, 1:]).long().cumprod(dim=1).sum(dim=1)
        room = self._last_position - position
        is_end = chosen == self._rules.end_id
        after_end = is_end.long().cumsum(dim=1) - is_end.long() > 0
        taken = (columns <= agreed[:, None]) & (columns < room[:, None])
        taken &= ~after_end & ~ended[:, None]
        # what is not taken lies behind the position, where the next round writes
        self.tokens[:num_rows].scatter_(1, position[:, None] + 1 + columns, chosen)
        self.sum_logprob[:num_rows] += logprobs.masked_fill(~taken, 0.0).sum(dim=1)
        if (times := self._rules.timestamps) is not None:
            kept = chosen.where(taken, 0)
            self._latest[:num_rows] = latest_times(self._latest[:num_rows], kept, times)[:, -1]
        position += taken.sum(dim=1)
        ended |= (is_end & taken).any(dim=1) | (position >= self._last_position)

    def move(self, source: int, target: int) -> None:
        """Copy one row over another; the source counts as ended."""
        for one in (
            self.tokens, self.position, self.ended, self.sum_logprob, self.no_speech,
            self.seeds, self.temperatures, self._latest,
        ):  # fmt: skip
            one[target] = one[source]
        self.ended[source] = True

    def snapshot(self, num_rows: int) -> Snapshot:
        """The first rows as they are now; on a GPU copied without waiting for it."""
        on_gpu = self._device.type == "cuda"

        def copied(rows: Tensor) -> Tensor:
            part = rows[:num_rows]
            if not on_gpu:
                return part.clone()
            host = torch.empty(part.shape, dtype=part.dtype, pin_memory=True)
            return host.copy_(part, non_blocking=True)

        return Snapshot(
            tokens=copied(self.tokens),
            position=copied(self.position),
            ended=copied(self.ended),
            sum_logprob=copied(self.sum_logprob),
            no_speech=copied(self.no_speech),
            ready=torch.cuda.current_stream(self._device).record_event() if on_gpu else None,
        )
