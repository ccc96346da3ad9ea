"""The student model: the teacher's encoder and a few of its decoder layers."""

import copy
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import GenerationConfig, WhisperForConditionalGeneration, WhisperProcessor

from storage.errors import UserError
from tasks.distil.layers import Layers, layers_of

_LAYER = re.compile(r"^model\.(encoder|decoder)\.layers\.(\d+)\.")


def make_student(
    teacher: WhisperForConditionalGeneration,
    decoder_layers: int | Layers,
    encoder_layers: int | Layers | None = None,
) -> WhisperForConditionalGeneration:
    """Initialise a student, on the teacher's device and in its dtype; no tensors are shared.

    It has the layers of the teacher that `layers_of` names, and copies of the teacher's embeddings,
    positions and layer norms. The output projection is tied to the token embeddings. With all
    layers the student equals the teacher. Raises `UserError` as `layers_of` does.
    """
    layers = {
        "encoder": layers_of(encoder_layers, teacher.config.encoder_layers, "encoder_layers"),
        "decoder": layers_of(decoder_layers, teacher.config.decoder_layers, "decoder_layers"),
    }
    config = copy.deepcopy(teacher.config)
    config.encoder_layers, config.decoder_layers = map(len, layers.values())
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
    student.generation_config = _student_generation(teacher, layers["decoder"])
    return student


def _teacher_name(name: str, layers: Mapping[str, Layers]) -> str:
    """The teacher's name of a weight of the student."""
    if (match := _LAYER.match(name)) is None:
        return name
    part = match[1]
    return f"model.{part}.layers.{layers[part][int(match[2])]}.{name[match.end() :]}"


def refuse_unfit(
    student: WhisperForConditionalGeneration,
    teacher: WhisperForConditionalGeneration,
    *,
    shares_encoder: bool,
    compares_states: bool = False,
) -> None:
    """Refuse an initial student that cannot learn from this teacher; raises `UserError`.

    Both must have the same tokens and features. A student that `shares_encoder` must have the
    teacher's, weight for weight, since it learns from what that encoder says; one whose hidden
    states are compared with the teacher's must have its width.
    """
    same = ["vocab_size", "num_mel_bins", "max_source_positions"]
    for name in [*same, "d_model"] if compares_states else same:
        expected, found = getattr(teacher.config, name), getattr(student.config, name)
        if expected != found:
            raise UserError(
                f"distil.initial_student has {name} {found}, the teacher {expected}: it is of"
                " another kind of Whisper; name a student of this teacher"
            )
    weights = teacher.model.encoder.state_dict()
    own = student.model.encoder.state_dict()
    if shares_encoder and not (
        own.keys() == weights.keys()
        and all(_is_equal(value, weights[name]) for name, value in own.items())
    ):
        raise UserError(
            "distil.initial_student has another encoder than the teacher, so the two cannot share"
            " one; set distil.freeze_encoder: false"
        )


def _is_equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one.cpu(), other.cpu().to(one.dtype))


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
