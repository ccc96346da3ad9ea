"""Checks of a model's weights: all are there, and all are finite numbers."""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from storage.errors import UserError

_TRAINING_ONLY: Final = ("masked_spec_embed",)
"""Weights that published Wav2Vec2 models lack, and that only their training uses."""


def require_sound_weights(model: nn.Module, loading: Mapping[str, Any], folder: str) -> None:
    """Raise `UserError` if a weight is missing in the files of a model, or is NaN or infinite.

    `loading` is what transformers reports with `output_loading_info`: it draws missing weights at
    random.
    """
    missing = sorted(name for name in loading["missing_keys"] if not name.endswith(_TRAINING_ONLY))
    if missing:
        raise UserError(
            f"the weights in {folder!r} are incomplete: {len(missing)} are missing, the first is"
            f" {missing[0]}; copy the model again"
        )
    weights = model.state_dict()
    if (name := find_not_finite(weights)) is not None:
        dtype = str(weights[name].dtype).removeprefix("torch.")
        raise UserError(
            f"the weights in {folder!r} are unusable: {name} is NaN or infinite in {dtype},"
            " expected finite numbers; use another model, or another dtype if this one overflows"
        )


def find_not_finite(weights: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor with a NaN or infinite value, or None; one pass over each."""
    for name, tensor in weights.items():
        if tensor.is_floating_point() and tensor.numel():
            extremes = torch.stack(torch.aminmax(tensor))  # NaN if any value is
            if not extremes.isfinite().all():
                return name
    return None
