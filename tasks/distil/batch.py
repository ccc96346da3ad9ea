"""Preparation of examples as tensors: features and tokens of a window, and padded batches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from transformers import WhisperFeatureExtractor

from configs.distil import SpecAugment
from storage.errors import ShardError
from tasks.audio import SAMPLE_RATE_HZ, Samples
from tasks.distil.augment import masked
from tasks.reading.examples import Example
from tasks.whisper.encoding.cache import OutputCache
from tasks.whisper.tokens import (
    IGNORED,
    SpecialTokens,
    Tokens,
    inputs_and_targets,
    previous_prompt,
    refuse_incomplete,
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The model input of one example.

    `waveform`: (samples,) float32 at 16 kHz. `features`: (mels, frames) float32, log-mel, or None
    with the encoder's output for them, `encoded`, (frames, width) float16. `inputs`, `targets`:
    token ids of equal length. `teacher_states`: the teacher's last hidden states for them, (tokens,
    width) float16, or None.
    """

    waveform: Samples
    features: npt.NDArray[np.float32] | None
    inputs: Tokens
    targets: Tokens
    encoded: torch.Tensor | None = None
    teacher_states: torch.Tensor | None = None

    @property
    def num_targets(self) -> int:
        """The number of tokens in the loss."""
        return sum(target != IGNORED for target in self.targets)


@dataclass(frozen=True, slots=True)
class Preparer:
    """Computes features and tokens of examples; thread-safe.

    What a cache has, of the encoder's outputs or of the teacher's last hidden states, is read.
    """

    extractor: WhisperFeatureExtractor
    special: SpecialTokens
    max_target_positions: int
    encoder_cache: OutputCache | None = None
    teacher_cache: OutputCache | None = None
    trains_prompt: bool = False
    spec_augment: SpecAugment | None = None

    def __call__(self, example: Example) -> Prepared:
        """Prepare an example; raises `ShardError` if audio or label is too long for the model."""
        samples = example.samples()
        self._refuse_unfit(example, len(samples))
        inputs, targets = inputs_and_targets(
            example.tokens,
            self.special,
            self._previous(example),
            trains_prompt=self.trains_prompt,
        )
        encoded = self.encoder_cache.get(samples) if self.encoder_cache else None
        teacher_states = self.teacher_cache.get(samples, inputs) if self.teacher_cache else None
        features = self._features(samples) if encoded is None else None
        if features is not None and self.spec_augment is not None:
            features = masked(features, self.spec_augment, example.draw)
        return Prepared(samples, features, inputs, targets, encoded, teacher_states)

    def _features(self, samples: Samples) -> npt.NDArray[np.float32]:
        found = self.extractor(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="np")
        features: npt.NDArray[np.float32] = found["input_features"][0].astype(np.float32)
        return features

    def _previous(self, example: Example) -> Tokens:
        """The previous text as a prompt, in positions left by the label, at most half of all.

        openai/whisper also uses at most half of them when it decodes.
        """
        if example.previous_tokens is None:
            return ()
        num_left = self.max_target_positions - (len(example.tokens) - 1)
        max_tokens = min(self.max_target_positions // 2, num_left)
        return previous_prompt(example.previous_tokens, example.tokens, self.special, max_tokens)

    def _refuse_unfit(self, example: Example, num_samples: int) -> None:
        refuse_incomplete(example.tokens, self.special, example.window_id)
        if num_samples > self.extractor.n_samples:
            raise ShardError(
                f"window {example.window_id} has {num_samples / SAMPLE_RATE_HZ:.3f} s of audio, the"
                f" model takes {self.extractor.n_samples / SAMPLE_RATE_HZ:g} s and would cut off"
                " the rest; label with a teacher that has the same window length"
            )
        if (num_inputs := len(example.tokens) - 1) > self.max_target_positions:
            raise ShardError(
                f"the label of window {example.window_id} has {num_inputs} tokens, the model takes"
                f" {self.max_target_positions}; lower label.max_new_tokens"
            )


@dataclass(frozen=True, slots=True)
class Batch:
    """`inputs` and `targets` (batch, tokens) int64."""

    inputs: torch.Tensor
    targets: torch.Tensor

    def to(self, device: torch.device) -> "Batch":
        """A copy of the batch on a device."""
        return Batch(self.inputs.to(device), self.targets.to(device))


def collate(rows: Sequence[Prepared], padding_id: int) -> Batch:
    """Pad on the right to the longest row: inputs with `padding_id`, targets with `IGNORED`.

    The decoder is causal, so padding on the right needs no attention mask.
    """
    num_tokens = max(len(row.inputs) for row in rows)
    inputs = torch.full((len(rows), num_tokens), padding_id, dtype=torch.int64)
    targets = torch.full((len(rows), num_tokens), IGNORED, dtype=torch.int64)
    for index, row in enumerate(rows):
        inputs[index, : len(row.inputs)] = torch.tensor(row.inputs)
        targets[index, : len(row.targets)] = torch.tensor(row.targets)
    return Batch(inputs, targets)
