"""A training step of the demo teacher: batches of windows and their loss.

Knows sequences, labels and characters, not the schedule or the source of the windows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import WhisperForConditionalGeneration, WhisperTokenizer

from tasks.demo.teaching.model import IGNORED, target_sequence
from tasks.demo.teaching.training_set import FeatureSet

_CTC_ALPHABET = " 'abcdefghijklmnopqrstuvwxyz"
# The blank, then the characters.
NUM_CTC_CLASSES = len(_CTC_ALPHABET) + 1


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch of windows as tensors.

    `features`: float32 (windows, 80, frames); `inputs` and `labels`: int64 (windows, tokens);
    `characters`: int64, all transcripts concatenated, with 0 reserved for the CTC blank;
    `num_characters`: int64 (windows,).
    """

    features: Tensor
    inputs: Tensor
    labels: Tensor
    characters: Tensor
    num_characters: Tensor


def batches(
    data: FeatureSet, tokenizer: WhisperTokenizer, num_windows: int, seed: int
) -> Iterator[Batch]:
    """Infinite batches of `num_windows` windows, shuffled in each epoch.

    Each time, a random half of the windows has timestamps in its labels.
    """
    rng = np.random.default_rng(seed)
    end_id = tokenizer.eos_token_id
    while True:
        order = rng.permutation(len(data))
        for start in range(0, len(order) - num_windows + 1, num_windows):
            rows = order[start : start + num_windows]
            pairs = [
                target_sequence(
                    data.segments[row], tokenizer, with_timestamps=bool(rng.random() < 0.5)
                )
                for row in rows
            ]
            longest = max(len(inputs) for inputs, _ in pairs)
            texts = [" ".join(segment.text for segment in data.segments[row]) for row in rows]
            characters = [
                _CTC_ALPHABET.index(character) + 1 for text in texts for character in text
            ]
            yield Batch(
                features=torch.from_numpy(data.features[rows].astype(np.float32)),
                inputs=torch.tensor(
                    [inputs + [end_id] * (longest - len(inputs)) for inputs, _ in pairs]
                ),
                labels=torch.tensor(
                    [labels + [IGNORED] * (longest - len(labels)) for _, labels in pairs]
                ),
                characters=torch.tensor(characters, dtype=torch.int64),
                num_characters=torch.tensor([len(text) for text in texts]),
            )


def batch_loss(
    model: WhisperForConditionalGeneration, ctc_head: nn.Module, batch: Batch, ctc_weight: float
) -> Tensor:
    """Scalar: mean cross-entropy of the labels plus the weighted CTC loss of the characters."""
    encoded = model.model.encoder(batch.features).last_hidden_state
    decoded = model.model.decoder(
        input_ids=batch.inputs, encoder_hidden_states=encoded, use_cache=False
    )
    logits = model.proj_out(decoded.last_hidden_state)
    character_logits = ctc_head(encoded)
    cross_entropy = nn.functional.cross_entropy(
        logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED
    )
    log_probs = character_logits.log_softmax(dim=-1).transpose(0, 1)
    num_frames = torch.full((encoded.shape[0],), encoded.shape[1])
    ctc = nn.functional.ctc_loss(
        log_probs,
        batch.characters,
        num_frames,
        batch.num_characters,
        reduction="sum",
        zero_infinity=True,
    )
    # Averaged over all characters: a mean over windows would be dominated by short transcripts.
    return cross_entropy + ctc_weight * ctc / batch.characters.numel()


@contextmanager
def window_length(model: WhisperForConditionalGeneration, num_mel_frames: int) -> Iterator[None]:
    """Set the window of the model to `num_mel_frames` instead of 800, within the context.

    The position embeddings of the encoder are the same function of time for every length.
    """
    encoder = model.model.encoder
    positions, own_length = encoder.embed_positions, model.config.max_source_positions
    length = num_mel_frames // 2
    encoder.embed_positions = nn.Embedding(
        length, positions.embedding_dim, _weight=positions.weight[:length], _freeze=True
    )
    model.config.max_source_positions = length
    try:
        yield
    finally:
        encoder.embed_positions = positions
        model.config.max_source_positions = own_length
