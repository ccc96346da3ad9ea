"""Both implementations of cross-attention agree with transformers."""

import pytest
import torch
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperAttention

from tasks.whisper.decoding.attention import (
    AbsorbedCrossAttention,
    KeyValueCrossAttention,
    attend,
    prefers_absorbed,
)

NUM_WINDOWS, NUM_FRAMES = 3, 50


@pytest.fixture(params=[(384, 6), (144, 4), (160, 20)], ids=str)
def attention(request):
    width, num_heads = request.param
    config = WhisperConfig(d_model=width, decoder_attention_heads=num_heads)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = WhisperAttention(width, num_heads, is_decoder=True, layer_idx=0, config=config)
        for projection in (made.q_proj, made.k_proj, made.v_proj, made.out_proj):
            torch.nn.init.normal_(projection.weight, std=width**-0.5)
            if projection.bias is not None:
                torch.nn.init.normal_(projection.bias)
    return made.eval().requires_grad_(False)


@pytest.mark.parametrize("way", [KeyValueCrossAttention, AbsorbedCrossAttention])
@pytest.mark.parametrize("num_tokens", [1, 5])
def test_cross_attention_equals_transformers(attention, way, num_tokens):
    draw = torch.Generator().manual_seed(1)
    width = attention.embed_dim
    hidden = torch.randn(NUM_WINDOWS, num_tokens, width, generator=draw)
    encoded = torch.randn(NUM_WINDOWS, NUM_FRAMES, width, generator=draw)
    listening = way(attention, attention.num_heads)
    expected = attention(hidden, key_value_states=encoded)[0]
    found = listening(hidden, listening.project(encoded))
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_absorbed_attention_caches_the_encoder_output_itself(attention):
    encoded = torch.randn(NUM_WINDOWS, NUM_FRAMES, attention.embed_dim)
    (kept,) = AbsorbedCrossAttention(attention, attention.num_heads).project(encoded)
    assert kept is encoded


@pytest.mark.parametrize(
    ("device", "num_heads", "num_frames", "expected"),
    [
        ("cpu", 4, 400, True),
        ("cpu", 6, 400, True),
        ("cpu", 6, 1_500, False),
        ("cpu", 20, 400, False),
        ("cuda", 4, 400, False),
    ],
)
def test_absorbed_attention_is_for_few_heads_and_short_windows_on_a_cpu(
    device, num_heads, num_frames, expected
):
    assert prefers_absorbed(torch.device(device), num_heads, num_frames) is expected


@pytest.mark.parametrize("num_queries", [1, 5, 100])
@pytest.mark.parametrize("is_masked", [False, True])
def test_attention_in_bfloat16_is_that_in_float32(num_queries, is_masked):
    """To the precision of bfloat16, for single queries as for a whole encoder."""
    shape = (2, 3, 70, 16)
    query = torch.randn(2, 3, num_queries, 16)
    keys, values = torch.randn(shape), torch.randn(shape)
    mask = torch.zeros(2, 1, num_queries, 70)
    mask[..., 40:] = -torch.inf
    found = attend(*(one.bfloat16() for one in (query, keys, values, mask)[: 3 + is_masked]))
    expected = attend(*(query, keys, values, mask)[: 3 + is_masked])
    assert found.shape == (2, num_queries, 48)
    torch.testing.assert_close(found.float(), expected, rtol=0.05, atol=0.02)
