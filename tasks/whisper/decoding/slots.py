"""The decoding state of a batch, on the device: one slot (row) per window.

Tracks tokens and decides when a hypothesis ends; it has no notion of models or audio. No operation
synchronises with the device, so that a step can be recorded as a CUDA graph.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from tasks.whisper.decoding.rules import DecodingRules
from tasks.whisper.decoding.timestamps import running_max_timestamp
from tasks.whisper.decoding.token_selection import SelectionContext


@dataclass(frozen=True, kw_only=True, slots=True)
class Hypothesis:
    """The tokens of a window with the prompt, and the log-probability of the generated ones."""

    tokens: tuple[int, ...]
    sum_logprob: float
    no_speech_prob: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A copy of the slots on the host; its tensors are valid once `wait` returns."""

    tokens: Tensor
    position: Tensor
    ended: Tensor
    sum_logprob: Tensor
    no_speech: Tensor
    tallies: Tensor
    ready: torch.cuda.Event | None

    def wait(self) -> None:
        """Block until the device has finished the copy."""
        if self.ready is not None:
            self.ready.synchronize()

    def hypothesis(self, row: int) -> Hypothesis:
        """What a row has decoded so far."""
        return Hypothesis(
            tokens=tuple(self.tokens[row, : int(self.position[row]) + 1].tolist()),
            sum_logprob=float(self.sum_logprob[row]),
            no_speech_prob=float(self.no_speech[row]),
        )


class Slots:
    """`tokens` is int64 (rows, tokens) with the prompt; a row's last token is at its `position`.

    A row that has ended keeps its values until another window takes the slot. `tallies`, int64
    (2, max_drafted + 1), counts steps of single rows since they were set to zero: at index n those
    with at least n drafted tokens, and of them those that gained more than n tokens.
    """

    def __init__(
        self, rules: DecodingRules, num_rows: int, max_drafted: int, device: torch.device
    ) -> None:
        self._rules, self._device = rules, device
        self._last_position = len(rules.prompt) + rules.max_new_tokens - 1
        self.num_positions = self._last_position + 1 + max_drafted
        """The positions that a cache needs: a draft may run past the limit of tokens."""

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
        self._max_timestamp = filled(0, torch.long)
        self.tallies = torch.zeros((2, max_drafted + 1), dtype=torch.long, device=device)

    def start(
        self,
        rows: Tensor,
        first_token: Tensor,
        logprob: Tensor,
        no_speech: Tensor,
        seeds: Tensor,
        temperatures: Tensor,
    ) -> None:
        """Start new windows in `rows`, int64, with their first token; all are (windows,)."""
        rules, num_prompt = self._rules, len(self._rules.prompt)
        self.tokens[rows, num_prompt] = first_token
        self.position[rows] = num_prompt
        self.ended[rows] = (first_token == rules.end_id) | (num_prompt >= self._last_position)
        self.sum_logprob[rows], self.no_speech[rows] = logprob, no_speech
        self.seeds[rows], self.temperatures[rows] = seeds, temperatures
        if rules.timestamps is not None:
            self._max_timestamp[rows] = first_token

    def last_tokens(self, num_rows: int, num_tokens: int) -> tuple[Tensor, Tensor]:
        """The last tokens of the first rows, (rows, tokens), and the position of the first one."""
        first_positions = self.position[:num_rows] - (num_tokens - 1)
        positions = first_positions[:, None] + torch.arange(num_tokens, device=self._device)
        return self.tokens[:num_rows].gather(1, positions), first_positions

    def context(self, tokens: Tensor, *, samples: bool) -> SelectionContext:
        """The selection context of the first rows; `tokens` begins with the last token of each.

        `samples` says whether any row has a temperature above 0.
        """
        num_rows, num_prompt = len(tokens), len(self._rules.prompt)
        position = self.position[:num_rows]
        previous_token = self.tokens[:num_rows].gather(1, position[:, None] - 1).squeeze(1)
        if (rules := self._rules.timestamps) is not None:
            previous_token = previous_token.where(position > num_prompt, rules.first_id)
        return SelectionContext(
            tokens=tokens,
            previous_token=previous_token,
            max_timestamp=self._max_timestamp[:num_rows],
            first_index=position - num_prompt + 1,
            seeds=self.seeds[:num_rows],
            temperatures=self.temperatures[:num_rows] if samples else None,
        )

    def accept(self, inputs: Tensor, selected: Tensor, logprobs: Tensor) -> None:
        """Append the tokens that were selected after each of `inputs`; all are (rows, tokens).

        `inputs` is a row's last token followed by drafted ones. Selected tokens are accepted as
        long as the draft agrees with them, plus one.
        """
        num_rows, num_inputs = selected.shape
        columns = torch.arange(num_inputs, device=self._device)
        position, ended = self.position[:num_rows], self.ended[:num_rows]
        num_agreed = (selected[:, :-1] == inputs[:, 1:]).long().cumprod(dim=1).sum(dim=1)
        num_remaining = self._last_position - position
        is_end = selected == self._rules.end_id
        is_after_end = is_end.long().cumsum(dim=1) - is_end.long() > 0
        accepted = (columns <= num_agreed[:, None]) & (columns < num_remaining[:, None])
        accepted &= ~is_after_end & ~ended[:, None]
        self.tallies[0, :num_inputs] += (~ended).sum()
        self.tallies[1, :num_inputs] += accepted.sum(dim=0)
        # tokens that are not accepted lie after the position; the next step overwrites them
        self.tokens[:num_rows].scatter_(1, position[:, None] + 1 + columns, selected)
        self.sum_logprob[:num_rows] += logprobs.masked_fill(~accepted, 0.0).sum(dim=1)
        if (rules := self._rules.timestamps) is not None:
            accepted_tokens = selected.where(accepted, 0)
            self._max_timestamp[:num_rows] = running_max_timestamp(
                self._max_timestamp[:num_rows], accepted_tokens, rules
            )[:, -1]
        position += accepted.sum(dim=1)
        ended |= (is_end & accepted).any(dim=1) | (position >= self._last_position)

    def move(self, source: int, target: int) -> None:
        """Copy one row over another and mark the source as ended."""
        for state in (
            self.tokens, self.position, self.ended, self.sum_logprob, self.no_speech,
            self.seeds, self.temperatures, self._max_timestamp,
        ):  # fmt: skip
            state[target] = state[source]
        self.ended[source] = True

    def snapshot(self, num_rows: int) -> Snapshot:
        """Copy the first rows to the host; asynchronously on a GPU."""
        on_gpu = self._device.type == "cuda"

        def copied(state: Tensor) -> Tensor:
            if not on_gpu:
                return state.clone()
            host = torch.empty(state.shape, dtype=state.dtype, pin_memory=True)
            return host.copy_(state, non_blocking=True)

        return Snapshot(
            tokens=copied(self.tokens[:num_rows]),
            position=copied(self.position[:num_rows]),
            ended=copied(self.ended[:num_rows]),
            sum_logprob=copied(self.sum_logprob[:num_rows]),
            no_speech=copied(self.no_speech[:num_rows]),
            tallies=copied(self.tallies),
            ready=torch.cuda.current_stream(self._device).record_event() if on_gpu else None,
        )
