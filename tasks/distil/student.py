"""The student model: the teacher's encoder and a few of its decoder layers."""

import copy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn
from transformers import GenerationConfig, WhisperForConditionalGeneration, WhisperProcessor

from storage.errors import UserError

_DECODER_LAYER = re.compile(r"^model\.decoder\.layers\.(\d+)\.")


def kept_layers(num_teacher_layers: int, num_student_layers: int) -> tuple[int, ...]:
    """The teacher's decoder layers to initialise a student from: maximally spaced, in order.

    `linspace(0, N - 1, n)` rounded (section 3.1 of the Distil-Whisper paper, arXiv 2311.00430):
    the first and the last for two, the first alone for one. Raises `UserError` for a
    number that is not from 1 to the number of the teacher's layers.
    """
    if not 1 <= num_student_layers <= num_teacher_layers:
        raise UserError(
            f"distil.decoder_layers is {num_student_layers}, and the teacher has"
            f" {num_teacher_layers} decoder layers; set it to 1 to {num_teacher_layers}"
        )
    spaced = np.linspace(0, num_teacher_layers - 1, num_student_layers)
    return tuple(int(layer) for layer in np.round(spaced))


def make_student(
    teacher: WhisperForConditionalGeneration, decoder_layers: int
) -> WhisperForConditionalGeneration:
    """Initialise a student, on the teacher's device and in its dtype; no tensors are shared.

    Encoder, embeddings, positions and layer norms are copies of the teacher's, the decoder layers
    those of `kept_layers`. The output projection is tied to the token embeddings. With all layers
    the student equals the teacher. Raises `UserError` as `kept_layers` does.
    """
    layers = kept_layers(teacher.config.decoder_layers, decoder_layers)
    config = copy.deepcopy(teacher.config)
    config.decoder_layers = decoder_layers
    # random weights, soon overwritten, take seconds to draw on the CPU
    with teacher.device:
        student = WhisperForConditionalGeneration(config)
    module: nn.Module = student  # whose methods have type annotations
    module.to(device=teacher.device, dtype=teacher.dtype)
    module.eval()
    weights = teacher.state_dict()
    student.load_state_dict(
        {name: weights[_teacher_name(name, layers)] for name in student.state_dict()}
    )
    student.tie_weights()
    student.generation_config = _student_generation(teacher, layers)
    return student


def _teacher_name(name: str, layers: Sequence[int]) -> str:
    """The teacher's name of a weight of the student."""
    if (match := _DECODER_LAYER.match(name)) is None:
        return name
    return f"model.decoder.layers.{layers[int(match[1])]}.{name[match.end() :]}"


def _student_generation(
    teacher: WhisperForConditionalGeneration, layers: Sequence[int]
) -> GenerationConfig:
    """The teacher's generation settings, with alignment heads renumbered to the student's layers.

    Word timestamps use the cross-attention of these heads. If the student has none of the teacher's
    layers with alignment heads, all heads of the later half of its layers are used, as OpenAI's
    reference implementation does for a model without a list.
    """
    if teacher.generation_config is None:
        raise UserError(
            "the teacher has no generation settings, which a student needs to transcribe; put"
            " Whisper's generation_config.json into the teacher's folder"
        )
    generation: Any = copy.deepcopy(teacher.generation_config)
    heads = getattr(generation, "alignment_heads", None)
    if heads is not None:
        kept = [[layers.index(layer), head] for layer, head in heads if layer in layers]
        num_heads: int = teacher.config.decoder_attention_heads
        later_half = range(len(layers) // 2, len(layers))
        fallback = [[layer, head] for layer in later_half for head in range(num_heads)]
        generation.alignment_heads = kept or fallback
    result: GenerationConfig = generation
    return result


def save_student(
    student: WhisperForConditionalGeneration, processor: WhisperProcessor, folder: Path
) -> None:
    """Save a student for `transformers.pipeline("automatic-speech-recognition", folder)`.

    Weights as safetensors, configuration, generation settings, tokenizer and processor. The feature
    extractor is also saved as `preprocessor_config.json`, for libraries without processors.
    """
    student.save_pretrained(folder)
    processor.save_pretrained(folder)
    processor.feature_extractor.save_pretrained(folder)
