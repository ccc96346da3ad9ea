"""A teacher and its student on a device, ready for training."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn
from transformers import WhisperForConditionalGeneration

from configs.schema import Distil
from tasks.distil.encode import TeacherEncoder
from tasks.distil.update.cached_states import CachedStates
from tasks.whisper.encoding.cache import OutputCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Teacher and student on a device; `padding_id` pads the decoder inputs.

    `encode` is the teacher's encoder, and the student's as well if that is frozen. The teacher's
    last hidden states come from `cached_states`, if there are any; `teacher_head`, (vocabulary,
    width) in the dtype of the activations, makes logits of them.
    """

    teacher: WhisperForConditionalGeneration
    student: WhisperForConditionalGeneration
    encode: TeacherEncoder
    settings: Distil
    padding_id: int
    teacher_head: torch.Tensor
    cached_states: CachedStates | None = None

    @property
    def device(self) -> torch.device:
        """Where both decoders are."""
        return self.encode.device


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
    *,
    teacher_cache: OutputCache | None = None,
    recomputes: bool = False,
    compiles: bool = False,
) -> Pair:
    """Move the student to the device of `encode`, in float32; a frozen encoder stays where it is.

    `teacher` is one that is ready, and `encode` its encoder. Its hidden states are kept in a
    `teacher_cache`. With `recomputes`, backward passes
    recompute the activations of each layer; with `compiles`, forward passes are compiled, as far as
    torch's limit on variants of a function allows: beyond it, it warns and runs them as they are.
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
    if recomputes:
        _recompute_activations(student)
    if compiles:
        own = [] if settings.freeze_encoder else [student.model.encoder]
        for compiled in [teacher.model.decoder, student.model.decoder, *own]:
            compiled.compile(dynamic=True)  # batches differ in their lengths
    cached = None
    if teacher_cache is not None:
        cached = CachedStates(teacher.model.decoder, teacher_cache)
    return Pair(
        teacher=teacher,
        student=student,
        encode=encode,
        settings=settings,
        padding_id=padding_id,
        teacher_head=teacher.proj_out.weight.detach().to(encode.dtype),
        cached_states=cached,
    )


def _recompute_activations(student: WhisperForConditionalGeneration) -> None:
    """Have layers recompute their activations, which they do in training mode alone.

    Nothing else that differs in that mode is wanted, such as dropout.
    """
    # the second name is that of earlier versions of transformers
    names = "activation_checkpointing_enable", "gradient_checkpointing_enable"
    enable = next(getattr(student, name) for name in names if hasattr(student, name))
    enable({"use_reentrant": False})
    for layer in [*student.model.encoder.layers, *student.model.decoder.layers]:
        layer.training = True
        layer.dropout = layer.activation_dropout = 0.0


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
