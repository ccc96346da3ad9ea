"""Which of the teacher's layers a student starts with."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from math import comb
from typing import Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import WhisperForConditionalGeneration

from storage.errors import UserError
from tasks.distil.batch import Batch, Prepared, collate
from tasks.distil.encode import TeacherEncoder
from tasks.whisper.tokens import IGNORED

Layers = tuple[int, ...]

NUM_CHOICE_WINDOWS: Final = 32
"""Windows on which layers are compared; the divergences of subsets differ by whole nats."""

_MAX_SUBSETS: Final = 500
_WINDOWS_AT_A_TIME: Final = 4
_TOKENS_APART: Final = 4  # logits take most of the time, and neighbouring tokens say much the same


def spaced_layers(num_teacher_layers: int, num_student_layers: int) -> Layers:
    """The layers at maximal spacing, in order: the first and the last for two.

    `linspace(0, N - 1, n)` without its fractions, as in the published code of Distil-Whisper (paper
    section 3.1, arXiv 2311.00430): 0, 10, 20, 31 for four of 32.
    """
    spaced = np.linspace(0, num_teacher_layers - 1, num_student_layers)
    return tuple(int(layer) for layer in spaced)


def layers_of(wanted: int | Layers | None, num_teacher_layers: int, setting: str) -> Layers:
    """The layers that a setting names: all, a number of maximally spaced ones, or a choice.

    Raises `UserError`, naming the `setting`, for layers that the teacher does not have.
    """
    if wanted is None:
        return tuple(range(num_teacher_layers))
    if isinstance(wanted, int):
        if not 1 <= wanted <= num_teacher_layers:
            raise UserError(
                f"distil.{setting} is {wanted}, and the teacher has {num_teacher_layers} of these"
                f" layers; set it to 1 to {num_teacher_layers}"
            )
        return spaced_layers(num_teacher_layers, wanted)
    if wanted[-1] >= num_teacher_layers:
        raise UserError(
            f"distil.{setting} names layer {wanted[-1]}, and the teacher has {num_teacher_layers}"
            f" of these layers; name 0 to {num_teacher_layers - 1}"
        )
    return wanted


def supervising_layers(num_student_layers: int, num_teacher_layers: int) -> Layers:
    """The teacher's layer whose output each layer of the student is to have, in equal steps.

    The student's layer i stands for the first (i + 1) / n of the teacher: 15 and 31 for two of 32,
    wherever the student's layers are copied from. As `get_layers_to_supervise` in the published
    Flax script of Distil-Whisper (training/flax/run_distillation.py).
    """
    first = max(num_teacher_layers // num_student_layers, 1) - 1
    layers = np.linspace(first, num_teacher_layers - 1, num_student_layers).astype(int).tolist()
    return (*layers[:-1], num_teacher_layers - 1)


def closest_layers(
    teacher: WhisperForConditionalGeneration,
    encode: TeacherEncoder,
    windows: Sequence[Prepared],
    num_layers: int,
    padding_id: int,
) -> Layers:
    """The `num_layers` decoder layers whose output is closest to that of all, untrained.

    Closest by the KL divergence at every fourth target token of `windows`, at temperature 1. If
    there are too many subsets to compare, the layer whose loss matters least is left out, again and
    again. Of two or more, the first and the last are always kept, as in the paper: without the
    last, a student of Whisper base begins as close and learns much more slowly (docs/results.md).
    """
    last = teacher.config.decoder_layers - 1
    kept = {0, last} if num_layers > 1 else set()
    remaining = tuple(range(last + 1))
    while len(remaining) > num_layers:
        free = [layer for layer in remaining if layer not in kept]
        num_free = num_layers - len(kept)
        if comb(len(free), num_free) > _MAX_SUBSETS:
            num_free = len(free) - 1
        subsets = [tuple(sorted((*kept, *one))) for one in combinations(free, num_free)]
        if len(subsets) == 1:
            return subsets[0]
        divergences = _divergences(teacher, encode, windows, subsets, padding_id)
        remaining = subsets[int(np.argmin(divergences))]
    return remaining


@torch.no_grad()
def _divergences(
    teacher: WhisperForConditionalGeneration,
    encode: TeacherEncoder,
    windows: Sequence[Prepared],
    subsets: Sequence[Layers],
    padding_id: int,
) -> Sequence[float]:
    """The KL divergence from the teacher to each subset of its layers, in nats, summed."""
    totals = [0.0] * len(subsets)
    for first in range(0, len(windows), _WINDOWS_AT_A_TIME):
        rows = windows[first : first + _WINDOWS_AT_A_TIME]
        encoded = encode(rows)
        batch = collate(rows, padding_id).to(encoded.device)
        with encode.autocast():
            expected = _log_probabilities(teacher, batch, encoded)
        for index, subset in enumerate(subsets):
            with encode.autocast(), _only(teacher, subset):
                found = _log_probabilities(teacher, batch, encoded)
            divergence = functional.kl_div(found, expected, reduction="sum", log_target=True)
            totals[index] += divergence.item()
    return totals


def _log_probabilities(
    model: WhisperForConditionalGeneration, batch: Batch, encoded: torch.Tensor
) -> torch.Tensor:
    """(target tokens, vocabulary) float32."""
    decoded = model.model.decoder(
        input_ids=batch.inputs, encoder_hidden_states=encoded, use_cache=False
    )
    logits = model.proj_out(decoded.last_hidden_state[batch.targets != IGNORED][::_TOKENS_APART])
    return functional.log_softmax(logits.float(), dim=-1)


@contextmanager
def _only(teacher: WhisperForConditionalGeneration, layers: Layers) -> Iterator[None]:
    """The teacher with some of its decoder layers."""
    decoder = teacher.model.decoder
    whole = decoder.layers
    decoder.layers = nn.ModuleList([whole[layer] for layer in layers])
    try:
        yield
    finally:
        decoder.layers = whole
