"""The teacher's encoder as training uses it: frozen, in the training's dtype, with a cache."""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from transformers import WhisperForConditionalGeneration
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from tasks.distil.batch import Prepared
from tasks.whisper.encoding.cache import OutputCache
from tasks.whisper.encoding.encoder import EncoderLayers


class TeacherEncoder:
    """Encodes training windows; a student with a frozen encoder shares its output.

    The weights stay as they are, so the encoder is a copy in `dtype` on `device` where the
    teacher's has another, and the teacher's own need not be on the device.
    """

    def __init__(
        self,
        teacher: WhisperForConditionalGeneration,
        device: torch.device,
        dtype: torch.dtype,
        cache: OutputCache | None = None,
    ) -> None:
        encoder: WhisperEncoder = teacher.model.encoder
        if teacher.device != device or teacher.dtype != dtype:
            encoder = copy.deepcopy(encoder)
            module: nn.Module = encoder  # whose methods have type annotations
            module.to(device=device, dtype=dtype)
        self._layers = EncoderLayers(encoder)
        self.device, self.dtype = device, dtype
        self.cache = cache

    def __call__(self, rows: Sequence[Prepared]) -> Tensor:
        """The output for each row, (batch, frames, width), without gradients."""
        if self.cache is None:
            return self._computed(rows).clone()  # a tensor that a backward pass may keep
        cache, missing = self.cache, [row for row in rows if row.encoded is None]
        computed = iter(
            cache.keep([row.waveform for row in missing], self._computed(missing))
            if missing
            else ()
        )
        outputs = [next(computed) if row.encoded is None else row.encoded for row in rows]
        return torch.stack(outputs).to(device=self.device, dtype=self.dtype)

    def autocast(self) -> torch.autocast:
        """The precision of activations: that of the output."""
        is_half = self.dtype != torch.float32
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_half)

    def _computed(self, rows: Sequence[Prepared]) -> Tensor:
        return self._layers(stacked_features(rows).to(device=self.device, dtype=self.dtype))


def stacked_features(rows: Sequence[Prepared]) -> Tensor:
    """(batch, mels, frames) float32; raises `ValueError` for a row that has none."""
    features = [row.features for row in rows if row.features is not None]
    if len(features) < len(rows):
        raise ValueError("a row that was found in the cache has no features")
    return torch.from_numpy(np.stack(features))
