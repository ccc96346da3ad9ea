"""The student before training: layers of the teacher, or a student to go on from."""

import copy
from collections.abc import Callable, Sequence

from transformers import WhisperForConditionalGeneration

from configs.schema import Distil
from tasks.distil.batch import Prepared
from tasks.distil.encode import TeacherEncoder
from tasks.distil.layers import closest_layers
from tasks.distil.student import make_student, refuse_unfit
from tasks.whisper.model import load_whisper


def initial_student(
    teacher: WhisperForConditionalGeneration,
    encode: TeacherEncoder,
    settings: Distil,
    windows: Callable[[], Sequence[Prepared]],
    padding_id: int,
) -> WhisperForConditionalGeneration:
    """The student that `settings` describe; `windows` are read if its layers are chosen by output.

    Raises `UserError` for layers that the teacher does not have, and for an initial student of
    another kind.
    """
    if settings.initial_student is not None:
        student = copy.deepcopy(load_whisper(settings.initial_student, device="cpu").model)
        refuse_unfit(
            student,
            teacher,
            shares_encoder=settings.freeze_encoder,
            compares_states=settings.hidden_state_weight > 0,
        )
        return student
    layers = settings.decoder_layers
    if settings.layer_choice == "auto" and isinstance(layers, int):
        layers = closest_layers(teacher, encode, windows(), layers, padding_id)
    return make_student(teacher, layers, settings.encoder_layers)
