"""Logits of the decoder: all of them, and those that a draft considers."""

import pytest
import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from tasks.whisper.decoding.layers import NUM_FREQUENT, DecoderLayers

END_ID, VOCAB_SIZE, WIDTH = NUM_FREQUENT + 30, NUM_FREQUENT + 50, 16


@pytest.fixture(scope="module")
def layers() -> DecoderLayers:
    config = WhisperConfig(
        vocab_size=VOCAB_SIZE, d_model=WIDTH, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=WIDTH,
        decoder_ffn_dim=WIDTH, max_source_positions=10, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    return DecoderLayers(WhisperForConditionalGeneration(config).requires_grad_(False))


def test_a_draft_considers_frequent_and_special_tokens_alone(layers: DecoderLayers) -> None:
    hidden = torch.randn(3, 2, WIDTH)
    found, every = layers.logits_of_frequent(hidden, END_ID), layers.logits(hidden)
    assert found.shape == every.shape == (3, 2, VOCAB_SIZE)
    for ids in (slice(NUM_FREQUENT), slice(END_ID, None)):
        torch.testing.assert_close(found[..., ids], every[..., ids])
    assert found[..., NUM_FREQUENT:END_ID].isneginf().all()


def test_a_draft_with_a_small_vocabulary_considers_all_of_it(layers: DecoderLayers) -> None:
    hidden = torch.randn(1, 1, WIDTH)
    assert torch.equal(layers.logits_of_frequent(hidden, NUM_FREQUENT), layers.logits(hidden))
