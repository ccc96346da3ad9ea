"""Forward passes of teacher and student over a batch, up to what logits are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import WhisperForConditionalGeneration

from tasks.distil.batch import Prepared, collate
from tasks.distil.encode import stacked_features
from tasks.distil.layers import supervising_layers
from tasks.distil.update.loss import hidden_state_sum
from tasks.distil.update.pair import Pair
from tasks.whisper.tokens import IGNORED


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Last hidden states at the target tokens, (tokens, width), and these tokens, int64 (tokens,).

    `teacher` is None if the loss does without its logits. `distance` is that of the hidden states,
    by `hidden_state_sum`; None if it is not part of the loss.
    """

    student: torch.Tensor
    teacher: torch.Tensor | None
    targets: torch.Tensor
    distance: torch.Tensor | None


def forward(pair: Pair, rows: Sequence[Prepared]) -> Output:
    """Run both decoders; the student's with gradients, if they are enabled."""
    batch = collate(rows, pair.padding_id).to(pair.device)
    is_target = batch.targets != IGNORED
    settings = pair.settings
    compares_states = settings.hidden_state_weight > 0
    needs_teacher = compares_states or settings.kl_weight > 0
    if settings.freeze_encoder or needs_teacher:
        encoded = teacher_encoded = pair.encode(rows)
    teacher: torch.Tensor | None = None
    teacher_states: tuple[torch.Tensor, ...] = ()
    with pair.encode.autocast():
        if not settings.freeze_encoder:
            features = stacked_features(rows).to(pair.device)
            encoded = pair.student.model.encoder(features, use_cache=False).last_hidden_state
        if needs_teacher:
            with torch.no_grad():
                if pair.cached_states is not None and not compares_states:
                    teacher = pair.cached_states(rows, batch.inputs, teacher_encoded, is_target)
                else:
                    teacher, teacher_states = _decoded(
                        pair.teacher, batch.inputs, teacher_encoded, is_target, compares_states
                    )
        student, states = _decoded(pair.student, batch.inputs, encoded, is_target, compares_states)
    distance = None
    if compares_states:
        layers = supervising_layers(len(states) - 1, len(teacher_states) - 1)
        distance = hidden_state_sum(states, teacher_states, enumerate(layers), is_target)
    return Output(
        student=student,
        teacher=teacher if settings.kl_weight > 0 else None,
        targets=batch.targets[is_target],
        distance=distance,
    )


def _decoded(
    model: WhisperForConditionalGeneration,
    inputs: torch.Tensor,
    encoded: torch.Tensor,
    is_target: torch.Tensor,
    with_states: bool,
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """The last hidden states at the target tokens, and those of all layers, if asked for."""
    decoded = model.model.decoder(
        input_ids=inputs,
        encoder_hidden_states=encoded,
        use_cache=False,
        output_hidden_states=with_states,
    )
    states = decoded.hidden_states if with_states else ()
    return decoded.last_hidden_state[is_target], states
