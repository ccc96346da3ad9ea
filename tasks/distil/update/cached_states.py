"""The teacher's last hidden states of training windows, computed once."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.models.whisper.modeling_whisper import WhisperDecoder

from tasks.distil.batch import Prepared
from tasks.whisper.encoding.cache import OutputCache


class CachedStates:
    """What a frozen decoder says of a window and its label, in every epoch and to every student.

    Rounded to float16. On the CPU a row is computed at a time, so that no bit depends on the other
    rows of its batch.
    """

    def __init__(self, decoder: WhisperDecoder, cache: OutputCache) -> None:
        self._decoder, self._cache = decoder, cache

    def __call__(
        self, rows: Sequence[Prepared], inputs: Tensor, encoded: Tensor, is_target: Tensor
    ) -> Tensor:
        """The last hidden states at the target tokens, (targets, width) float32.

        `inputs` and `is_target` are (batch, tokens), `encoded` is (batch, frames, width).
        """
        read = ((index, row.teacher_states) for index, row in enumerate(rows))
        found = {index: states for index, states in read if states is not None}
        missing = [index for index in range(len(rows)) if index not in found]
        num_at_once = 1 if inputs.device.type == "cpu" else len(rows)
        for start in range(0, len(missing), num_at_once):
            part = missing[start : start + num_at_once]
            found |= zip(part, self._computed(rows, part, inputs, encoded), strict=True)
        device = is_target.device
        states = [
            found[index].to(device).float()[is_target[index, : len(row.inputs)]]
            for index, row in enumerate(rows)
        ]
        return torch.cat(states)

    def _computed(
        self, rows: Sequence[Prepared], part: Sequence[int], inputs: Tensor, encoded: Tensor
    ) -> list[Tensor]:
        chosen = [rows[index] for index in part]
        longest = max(len(row.inputs) for row in chosen)
        decoded = self._decoder(
            input_ids=inputs[part, :longest],
            encoder_hidden_states=encoded[part],
            use_cache=False,
        )
        return [
            self._cache.keep_one(row.waveform, states[: len(row.inputs)], row.inputs)
            for row, states in zip(chosen, decoded.last_hidden_state, strict=True)
        ]
