"""The gradient of a batch: losses of teacher and student, and their backward passes."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import torch
from torch.nn import functional

from tasks.distil.batch import Prepared
from tasks.distil.parallel.processes import ALONE, Processes
from tasks.distil.update.forward import Output, forward
from tasks.distil.update.loss import LossSums, loss_sums
from tasks.distil.update.optimise import trainable
from tasks.distil.update.pair import Pair

_MAX_PADDING: Final = 0.05
_MAX_LOGITS: Final = 2**25
"""At a time: those of 646 tokens of a Whisper, 134 MB in float32 for each copy."""


@dataclass(frozen=True, slots=True)
class MeanLoss:
    """Mean losses per target token of a batch, in nats; `kl` times temperature squared.

    `mse` is the distance of hidden states, 0 without `hidden_state_weight`. `num_positions` input
    tokens went through the decoder, `num_padded` of them padding.
    """

    loss: float
    ce: float
    kl: float
    num_positions: int
    num_padded: int
    mse: float = 0.0


def add_gradients(
    pair: Pair,
    rows: Sequence[Prepared],
    micro_batch_size: int,
    processes: Processes = ALONE,
) -> MeanLoss:
    """Accumulate the gradient of the mean loss of a batch, at most `micro_batch_size` rows a time.

    `rows` are those of this process. The mean is over the tokens of the whole batch, so neither
    `micro_batch_size` nor the number of processes affects more than rounding. Logits, the largest
    tensors by far, exist for a few tokens at a time: the gradient of each slice is added to that
    of the hidden states, from where it goes through the decoder once.
    """
    (num_tokens,) = processes.sum([sum(row.num_targets for row in rows)])
    scale = 1 / max(num_tokens, 1)
    total = _Total(pair)
    for micro_batch in by_length(rows, micro_batch_size):
        output = forward(pair, micro_batch)
        states = output.student.detach().requires_grad_()
        for sums in _sums_by_slice(pair, states, output):
            torch.autograd.backward(sums.weighted * scale)
            total.add(sums)
        total.add_output(output, micro_batch)
        outputs, gradients = [output.student], [states.grad]
        if output.distance is not None:
            outputs.append(pair.settings.hidden_state_weight * output.distance * scale)
            gradients.append(None)
        torch.autograd.backward(outputs, gradients)
    processes.sum_gradients(list(trainable(pair.student).values()))
    return total.mean(processes)


def mean_loss(pair: Pair, rows: Iterable[Prepared], micro_batch_size: int) -> MeanLoss:
    """The mean loss over any number of rows, without gradients."""
    total = _Total(pair)
    with torch.no_grad():
        for micro_batch in _split(rows, micro_batch_size):
            output = forward(pair, micro_batch)
            for sums in _sums_by_slice(pair, output.student, output):
                total.add(sums)
            total.add_output(output, micro_batch)
    return total.mean(ALONE)


def _sums_by_slice(pair: Pair, states: torch.Tensor, output: Output) -> Iterator[LossSums]:
    """The losses of successive tokens; `states` are the student's, (tokens, width)."""
    num_tokens = max(1, _MAX_LOGITS // pair.student.config.vocab_size)
    dtype = pair.encode.dtype
    head = pair.student.proj_out.weight.to(dtype)  # once, which autocast would do each time
    for start in range(0, len(states), num_tokens):
        part = slice(start, start + num_tokens)
        logits = functional.linear(states[part].to(dtype), head)
        expected = None
        if output.teacher is not None:
            expected = functional.linear(output.teacher[part].to(dtype), pair.teacher_head)
        yield loss_sums(logits, expected, output.targets[part], pair.settings)


class _Total:
    """Loss sums over micro-batches, kept on the device to avoid synchronisation."""

    def __init__(self, pair: Pair) -> None:
        self._settings = pair.settings
        self._kl = torch.zeros((), dtype=torch.float64, device=pair.device)
        self._ce = torch.zeros((), dtype=torch.float64, device=pair.device)
        self._mse = torch.zeros((), dtype=torch.float64, device=pair.device)
        self._num_tokens = self._num_positions = self._num_inputs = 0

    def add(self, sums: LossSums) -> None:
        self._kl += sums.kl.detach()
        self._ce += sums.ce.detach()

    def add_output(self, output: Output, rows: Sequence[Prepared]) -> None:
        self._num_tokens += len(output.targets)
        lengths = [len(row.inputs) for row in rows]
        self._num_positions += max(lengths) * len(lengths)
        self._num_inputs += sum(lengths)
        if output.distance is not None:
            self._mse += output.distance.detach()

    def mean(self, processes: Processes) -> MeanLoss:
        settings = self._settings
        weighted = settings.kl_weight * self._kl + settings.pseudo_label_weight * self._ce
        weighted = weighted + settings.hidden_state_weight * self._mse
        losses = torch.stack([weighted, self._ce, self._kl, self._mse]).tolist()
        counts = (self._num_tokens, self._num_positions, self._num_inputs)
        loss, ce, kl, mse, num_tokens, num_positions, num_inputs = processes.sum([*losses, *counts])
        num_tokens = max(num_tokens, 1)
        return MeanLoss(
            loss=loss / num_tokens,
            ce=ce / num_tokens,
            kl=kl / num_tokens,
            num_positions=round(num_positions),
            num_padded=round(num_positions - num_inputs),
            mse=mse / num_tokens,
        )


def by_length(rows: Sequence[Prepared], max_rows: int) -> Iterator[list[Prepared]]:
    """Parts of at most `max_rows`, of similar lengths: at most 5 % of their tokens are padding."""
    part: list[Prepared] = []
    num_tokens = 0
    for row in sorted(rows, key=lambda row: len(row.inputs)):
        longest = len(row.inputs)
        num_padded = longest * (len(part) + 1) - num_tokens - longest
        if part and (
            len(part) == max_rows or num_padded > _MAX_PADDING * longest * (len(part) + 1)
        ):
            yield part
            part, num_tokens = [], 0
        part.append(row)
        num_tokens += longest
    if part:
        yield part


def _split(rows: Iterable[Prepared], size: int) -> Iterator[list[Prepared]]:
    remaining = iter(rows)
    while part := list(islice(remaining, size)):
        yield part
