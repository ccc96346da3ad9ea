"""Examples as tensors: features and tokens of one window, and a padded batch of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from transformers import WhisperFeatureExtractor

from storage.errors import ShardError
from tasks.audio import SAMPLE_RATE_HZ
from tasks.reading.examples import Example
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
    """An example as the model takes it.

    `features`: (mels, frames) float32, log-mel. `inputs`, `targets`: of equal length.
    """

    features: npt.NDArray[np.float32]
    inputs: Tokens
    targets: Tokens

    @property
    def num_targets(self) -> int:
        """How many tokens are learnt."""
        return sum(target != IGNORED for target in self.targets)


@dataclass(frozen=True, slots=True)
class Preparer:
    """Turns examples into features and tokens; safe to call from several threads."""

    extractor: WhisperFeatureExtractor
    special: SpecialTokens
    max_target_positions: int

    def __call__(self, example: Example) -> Prepared:
        """Raises `ShardError` for a window or a label that is longer than the model takes."""
        samples = example.samples()
        self._refuse_unfit(example, len(samples))
        features = self.extractor(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="np")
        inputs, targets = inputs_and_targets(example.tokens, self.special, self._previous(example))
        return Prepared(features["input_features"][0].astype(np.float32), inputs, targets)

    def _previous(self, example: Example) -> Tokens:
        """The previous text as a prompt: at most half of the positions, and what the label leaves.

        The half is that of openai/whisper when it decodes.
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
                f" model takes {self.extractor.n_samples / SAMPLE_RATE_HZ:g} s and would cut the"
                " rest off; label with a teacher of the same window"
            )
        if (num_inputs := len(example.tokens) - 1) > self.max_target_positions:
            raise ShardError(
                f"the label of window {example.window_id} has {num_inputs} tokens, the model takes"
                f" {self.max_target_positions}; set label.max_new_tokens lower"
            )


@dataclass(frozen=True, slots=True)
class Batch:
    """`features` (batch, mels, frames) float32; `inputs` and `targets` (batch, tokens) int64."""

    features: torch.Tensor
    inputs: torch.Tensor
    targets: torch.Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device."""
        return Batch(*(part.to(device) for part in (self.features, self.inputs, self.targets)))


def collate(rows: Sequence[Prepared], padding_id: int) -> Batch:
    """Pad on the right to the longest row: inputs by `padding_id`, targets by `IGNORED`.

    No position attends to a later one, so padding on the right needs no attention mask.
    """
    num_tokens = max(len(row.inputs) for row in rows)
    inputs = torch.full((len(rows), num_tokens), padding_id, dtype=torch.int64)
    targets = torch.full((len(rows), num_tokens), IGNORED, dtype=torch.int64)
    for index, row in enumerate(rows):
        inputs[index, : len(row.inputs)] = torch.tensor(row.inputs)
        targets[index, : len(row.targets)] = torch.tensor(row.targets)
    return Batch(torch.from_numpy(np.stack([row.features for row in rows])), inputs, targets)
