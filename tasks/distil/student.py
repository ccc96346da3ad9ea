"""The student: the teacher's whole encoder and a few of its decoder layers, and how it is saved."""

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
    """The teacher's decoder layers that a student starts from: maximally spaced, in order.

    `linspace(0, N - 1, n)` rounded (section 3.1 of the Distil-Whisper paper, arXiv 2311.00430):
    the first and the last for two, the first alone for one. Raises `UserError` when the student
    asks for none or for more than the teacher has.
    """
    if not 1 <= num_student_layers <= num_teacher_layers:
        raise UserError(
            f"the student asks for {num_student_layers} decoder layers and the teacher has"
            f" {num_teacher_layers}: set distil.decoder_layers to 1 to {num_teacher_layers}"
        )
    spaced = np.linspace(0, num_teacher_layers - 1, num_student_layers)
    return tuple(int(layer) for layer in np.round(spaced))


def make_student(
    teacher: WhisperForConditionalGeneration, decoder_layers: int
) -> WhisperForConditionalGeneration:
    """A model of its own, on the teacher's device and in its dtype, that shares no tensor with it.

    Encoder, embeddings, positions and layer norms are copies of the teacher's, the decoder layers
    those of `kept_layers`; the output projection is tied to the token embeddings. With every layer
    kept the student computes what the teacher computes. Raises `UserError` as `kept_layers` does.
    """
    layers = kept_layers(teacher.config.decoder_layers, decoder_layers)
    config = copy.deepcopy(teacher.config)
    config.decoder_layers = decoder_layers
    student = WhisperForConditionalGeneration(config)
    module: nn.Module = student  # whose methods are typed
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
    """The name in the teacher of what the student calls `name`."""
    if (match := _DECODER_LAYER.match(name)) is None:
        return name
    return f"model.decoder.layers.{layers[int(match[1])]}.{name[match.end() :]}"


def _student_generation(
    teacher: WhisperForConditionalGeneration, layers: Sequence[int]
) -> GenerationConfig:
    """The teacher's generation settings, its alignment heads renumbered to the student's layers.

    Word timestamps read the cross-attention of these heads. A teacher's usually all lie in layers
    that the student lost; then every head of the later half of its layers serves, which is what
    OpenAI's reference implementation takes for a model without a list.
    """
    if teacher.generation_config is None:
        raise UserError(
            "the teacher has no generation settings, and a student without them cannot transcribe:"
            " put Whisper's generation_config.json into the teacher's folder"
        )
    generation: Any = copy.deepcopy(teacher.generation_config)
    known = getattr(generation, "alignment_heads", None)
    if known is not None:
        kept = [[layers.index(layer), head] for layer, head in known if layer in layers]
        num_heads: int = teacher.config.decoder_attention_heads
        later_half = range(len(layers) // 2, len(layers))
        every = [[layer, head] for layer in later_half for head in range(num_heads)]
        generation.alignment_heads = kept or every
    result: GenerationConfig = generation
    return result


def save_student(
    student: WhisperForConditionalGeneration, processor: WhisperProcessor, folder: Path
) -> None:
    """Write everything that `transformers.pipeline("automatic-speech-recognition", folder)` needs.

    Weights as safetensors, configuration, generation settings, tokenizer, and the feature
    extractor twice: inside the processor's file and, for readers that know no processors, in
    `preprocessor_config.json`.
    """
    student.save_pretrained(folder)
    processor.save_pretrained(folder)
    processor.feature_extractor.save_pretrained(folder)
