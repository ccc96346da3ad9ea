"""Forward and backward passes of teacher and student over a batch."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final

import torch
from torch import nn
from transformers import WhisperForConditionalGeneration

from configs.schema import Distil
from tasks.distil.batch import Prepared, collate
from tasks.distil.encode import TeacherEncoder, stacked_features
from tasks.distil.layers import supervising_layers
from tasks.distil.loss import LossSums, hidden_state_sum, loss_sums
from tasks.distil.optimise import trainable
from tasks.distil.parallel.processes import ALONE, Processes
from tasks.whisper.tokens import IGNORED

_MAX_PADDING: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Teacher and student on a device; `padding_id` pads the decoder inputs.

    `encode` is the teacher's encoder, and the student's as well if that is frozen.
    """

    teacher: WhisperForConditionalGeneration
    student: WhisperForConditionalGeneration
    encode: TeacherEncoder
    settings: Distil
    padding_id: int

    @property
    def device(self) -> torch.device:
        """Where both decoders are."""
        return self.encode.device


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


def ready_teacher(
    teacher: WhisperForConditionalGeneration, device: torch.device, settings: Distil
) -> None:
    """Freeze the teacher and move its decoder to the device; its encoder stays where it is.

    With `dtype: bfloat16` the teacher keeps its dtype.
    """
    module: nn.Module = teacher  # whose methods have type annotations
    module.requires_grad_(False)
    module.eval()
    if settings.dtype == "float32":
        module.to(torch.float32)
    for part in (teacher.model.decoder, teacher.proj_out):
        part.to(device)


def make_pair(
    teacher: WhisperForConditionalGeneration,
    student: WhisperForConditionalGeneration,
    encode: TeacherEncoder,
    settings: Distil,
    padding_id: int,
) -> Pair:
    """Move the student to the device of `encode`, in float32; a frozen encoder stays where it is.

    `teacher` is one that is ready, and `encode` its encoder.
    """
    module: nn.Module = student
    module.to(torch.float32)
    module.eval()  # the paper trains without dropout or layer drop
    module.requires_grad_(True)
    student.model.encoder.requires_grad_(not settings.freeze_encoder)
    student.model.encoder.embed_positions.requires_grad_(False)  # fixed sinusoids
    student.model.decoder.embed_tokens.requires_grad_(not settings.freeze_embeddings)
    student.model.decoder.embed_positions.requires_grad_(not settings.freeze_positions)
    trained = [student.model.decoder, student.proj_out]
    for part in trained if settings.freeze_encoder else [module]:
        part.to(encode.device)
    return Pair(
        teacher=teacher, student=student, encode=encode, settings=settings, padding_id=padding_id
    )


@contextmanager
def on_device(student: WhisperForConditionalGeneration, device: torch.device) -> Iterator[None]:
    """The student with its encoder on the device, which training with a frozen one leaves out."""
    encoder: nn.Module = student.model.encoder
    before = student.device
    encoder.to(device)
    try:
        yield
    finally:
        encoder.to(before)


def add_gradients(
    pair: Pair,
    rows: Sequence[Prepared],
    micro_batch_size: int,
    processes: Processes = ALONE,
) -> MeanLoss:
    """Accumulate the gradient of the mean loss of a batch, at most `micro_batch_size` rows a time.

    `rows` are those of this process. The mean is over the tokens of the whole batch, so neither
    `micro_batch_size` nor the number of processes affects more than rounding.
    """
    (num_tokens,) = processes.sum([sum(row.num_targets for row in rows)])
    total = _Total(pair)
    for micro_batch in by_length(rows, micro_batch_size):
        sums = _losses(pair, micro_batch)
        torch.autograd.backward(_weighted(pair.settings, sums) / max(num_tokens, 1))
        total.add(sums, micro_batch)
    processes.sum_gradients(list(trainable(pair.student).values()))
    return total.mean(processes)


def mean_loss(pair: Pair, rows: Iterable[Prepared], micro_batch_size: int) -> MeanLoss:
    """The mean loss over any number of rows, without gradients."""
    total = _Total(pair)
    with torch.no_grad():
        for micro_batch in _split(rows, micro_batch_size):
            total.add(_losses(pair, micro_batch), micro_batch)
    return total.mean(ALONE)


class _Total:
    """Loss sums over micro-batches, kept on the device to avoid synchronisation."""

    def __init__(self, pair: Pair) -> None:
        self._settings = pair.settings
        self._kl = torch.zeros((), dtype=torch.float64, device=pair.device)
        self._ce = torch.zeros((), dtype=torch.float64, device=pair.device)
        self._mse = torch.zeros((), dtype=torch.float64, device=pair.device)
        self._num_tokens = self._num_positions = self._num_inputs = 0

    def add(self, sums: LossSums, rows: Sequence[Prepared]) -> None:
        lengths = [len(row.inputs) for row in rows]
        self._num_positions += max(lengths) * len(lengths)
        self._num_inputs += sum(lengths)
        self._kl += sums.kl.detach()
        self._ce += sums.ce.detach()
        if sums.mse is not None:
            self._mse += sums.mse.detach()
        self._num_tokens += sums.num_tokens

    def mean(self, processes: Processes) -> MeanLoss:
        sums = LossSums(self._kl, self._ce, self._num_tokens, self._mse)
        weighted = _weighted(self._settings, sums)
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


def _weighted(settings: Distil, sums: LossSums) -> torch.Tensor:
    loss = settings.kl_weight * sums.kl + settings.pseudo_label_weight * sums.ce
    return loss if sums.mse is None else loss + settings.hidden_state_weight * sums.mse


def _losses(pair: Pair, rows: Sequence[Prepared]) -> LossSums:
    batch = collate(rows, pair.padding_id).to(pair.device)
    is_target = batch.targets != IGNORED
    is_half = pair.settings.dtype == "bfloat16"
    shares_encoder = pair.settings.freeze_encoder
    compares_states = pair.settings.hidden_state_weight > 0
    needs_teacher = compares_states or pair.settings.kl_weight > 0
    if shares_encoder or needs_teacher:
        teacher_encoded = pair.encode(rows)
    with torch.autocast(pair.device.type, dtype=torch.bfloat16, enabled=is_half):
        if shares_encoder:
            encoded = teacher_encoded
        else:
            features = stacked_features(rows).to(pair.device)
            encoded = pair.student.model.encoder(features).last_hidden_state
        teacher_logits = None
        expected_states: tuple[torch.Tensor, ...] = ()
        if needs_teacher:
            with torch.no_grad():
                output, expected_states = _decoded(
                    pair.teacher, batch.inputs, teacher_encoded, is_target, compares_states
                )
                if pair.settings.kl_weight:
                    teacher_logits = pair.teacher.proj_out(output)
        output, states = _decoded(pair.student, batch.inputs, encoded, is_target, compares_states)
        student_logits = pair.student.proj_out(output)
    sums = loss_sums(
        student_logits, teacher_logits, batch.targets[is_target], pair.settings.temperature
    )
    if not compares_states:
        return sums
    layers = supervising_layers(len(states) - 1, len(expected_states) - 1)
    distance = hidden_state_sum(states, expected_states, enumerate(layers), is_target)
    return sums._replace(mse=distance)


def _decoded(
    model: WhisperForConditionalGeneration,
    inputs: torch.Tensor,
    encoded: torch.Tensor,
    is_target: torch.Tensor,
    with_states: bool,
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """What logits are made of, (target tokens, width), and the hidden states, if asked for."""
    decoded = model.model.decoder(
        input_ids=inputs,
        encoder_hidden_states=encoded,
        use_cache=False,
        output_hidden_states=with_states,
    )
    states = decoded.hidden_states if with_states else ()
    return decoded.last_hidden_state[is_target], states


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
