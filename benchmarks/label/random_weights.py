"""A teacher with random weights, for geometries whose weights are not at hand.

Random weights never generate an end token, so the weights are adjusted: each position adds to one
direction of the hidden state, the first layer's cross-attention subtracts a linear function of the
encoder output, and the end token is embedded along that direction. Every engine then generates
about as many tokens as were encoded in the noise, from the weights alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import (
    DynamicCache,
    EncoderDecoderCache,
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from benchmarks.label.models import DEMO, DRAFT_LAYERS, Models, with_model
from configs.schema import Label, Teacher
from tasks.audio import Samples
from tasks.demo.teaching.tokenizer import SPACE
from tasks.distil.layers import spaced_layers
from tasks.distil.student import make_student
from tasks.whisper.decoding.rules import decoding_rules
from tasks.whisper.model import Dtype, LoadedWhisper, log_mel

RANDOM_WINDOW_S: Final = 30.0
"""The window of every geometry, in seconds."""

_NUM_TEXT: Final = 50_257
_NUM_AFTER_LANGUAGES: Final = 6 + 1501  # tokens of tasks and control, and timestamps
_PROMPT: Final = 4
_PER_TOKEN: Final = 0.05  # added per position: far above rounding errors, far below overflow
_END_LOUDNESS: Final = 100.0
_PLACE_LOUDNESS: Final = 8.0
_NUM_TRIES: Final = 10
_NUM_AGREED: Final = 32  # tokens of each window


@dataclass(frozen=True)
class Geometry:
    """The shape of a released Whisper."""

    width: int
    num_layers: int
    num_heads: int
    num_mels: int = 80
    num_languages: int = 99

    @property
    def vocab_size(self) -> int:
        """Text, end and start tokens, languages, and the tokens after them."""
        return _NUM_TEXT + 2 + self.num_languages + _NUM_AFTER_LANGUAGES


GEOMETRIES: Final = {
    "tiny": Geometry(384, 4, 6),
    "large-v2": Geometry(1280, 32, 20),
    "large-v3": Geometry(1280, 32, 20, num_mels=128, num_languages=100),
}


def random_models(
    geometry: str,
    dtype: Dtype,
    device: str,
    waveforms: Sequence[Samples],
    num_tokens: Sequence[int],
    agreement: float,
) -> Models:
    """A teacher that generates about `num_tokens` for `waveforms`, (samples,) at 16 kHz.

    Its draft has the first and the last of its decoder layers; the weight of those between is set
    so that both choose the same next token about as often as `agreement` says.
    """
    torch.manual_seed(0)
    shape = GEOMETRIES[geometry]
    with torch.device(device):
        model: Any = WhisperForConditionalGeneration(_config(shape))
    module: nn.Module = model
    module.eval().requires_grad_(False).to(getattr(torch, dtype))
    model.generation_config = _generation(shape)
    teacher = LoadedWhisper(
        model=model,
        feature_extractor=WhisperFeatureExtractor(feature_size=model.config.num_mel_bins),
        tokenizer=_tokenizer(shape),
    )
    encoded = _encoded(teacher, waveforms)
    _teach_ends(model, encoded, num_tokens)
    found = _agree(model, encoded[:8], agreement)
    draft = with_model(teacher, make_student(model, DRAFT_LAYERS))
    return Models({dtype: teacher}, {dtype: draft}, agreement=found)


def _config(shape: Geometry) -> WhisperConfig:
    return WhisperConfig(
        vocab_size=shape.vocab_size,
        num_mel_bins=shape.num_mels,
        d_model=shape.width,
        encoder_layers=shape.num_layers,
        decoder_layers=shape.num_layers,
        encoder_attention_heads=shape.num_heads,
        decoder_attention_heads=shape.num_heads,
        encoder_ffn_dim=4 * shape.width,
        decoder_ffn_dim=4 * shape.width,
        pad_token_id=_NUM_TEXT,
        bos_token_id=_NUM_TEXT,
        eos_token_id=_NUM_TEXT,
        decoder_start_token_id=_NUM_TEXT + 1,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )


def _generation(shape: Geometry) -> GenerationConfig:
    """Generation settings of a released multilingual model, with its special token ids."""
    after_languages = _NUM_TEXT + 2 + shape.num_languages
    return GenerationConfig(
        bos_token_id=_NUM_TEXT,
        eos_token_id=_NUM_TEXT,
        pad_token_id=_NUM_TEXT,
        decoder_start_token_id=_NUM_TEXT + 1,
        no_timestamps_token_id=after_languages + 5,
        is_multilingual=True,
        lang_to_id={"<|en|>": _NUM_TEXT + 2},
        task_to_id={"translate": after_languages, "transcribe": after_languages + 1},
        suppress_tokens=list(range(_NUM_TEXT + 1, shape.vocab_size)),
        max_length=448,
        return_timestamps=False,
    )


def _tokenizer(shape: Geometry) -> WhisperTokenizer:
    """A tokenizer with the size and special tokens of a released one; texts are numbered words."""
    end = "<|endoftext|>"
    tokenizer = WhisperTokenizer(
        vocab={**{f"{SPACE}w{number}": number for number in range(_NUM_TEXT)}, end: _NUM_TEXT},
        merges=[],
        unk_token=end,
        bos_token=end,
        eos_token=end,
        pad_token=end,
    )
    languages = [f"<|{language}|>" for language in list(LANGUAGES)[: shape.num_languages]]
    special = ["<|startoftranscript|>", *languages, "<|translate|>", "<|transcribe|>"]
    special += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    tokenizer.add_special_tokens({"extra_special_tokens": special})
    tokenizer.add_tokens([f"<|{step * 0.02:.2f}|>" for step in range(1501)])
    return tokenizer


@torch.inference_mode()
def _encoded(teacher: LoadedWhisper, waveforms: Sequence[Samples]) -> Tensor:
    """Encoder output, (waveforms, frames, width)."""
    encoder = teacher.model.model.encoder
    batches = [
        encoder(log_mel(teacher, waveforms[start : start + 8])).last_hidden_state
        for start in range(0, len(waveforms), 8)
    ]
    return torch.cat(batches)


@torch.no_grad()
def _teach_ends(model: Any, encoded: Tensor, num_tokens: Sequence[int]) -> None:
    """Make the end token the most likely after `num_tokens`, using one direction of the state."""
    decoder, width = model.model.decoder, model.config.d_model
    direction = torch.zeros(width, device=encoded.device)
    direction[0], direction[1] = 0.5**0.5, -(0.5**0.5)
    _clear(decoder.embed_tokens.weight, direction)
    _clear(decoder.embed_positions.weight, direction)
    for layer in decoder.layers:
        for linear in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2):
            _clear(linear.weight.T, direction)
    # so that words differ by position; otherwise a text repeats one word
    decoder.embed_positions.weight *= _PLACE_LOUDNESS
    positions = torch.arange(len(decoder.embed_positions.weight), device=encoded.device)
    decoder.embed_positions.weight += (_PER_TOKEN * positions[:, None] * direction).to(
        encoded.dtype
    )
    decoder.embed_tokens.weight[_NUM_TEXT] = _END_LOUDNESS * direction.to(encoded.dtype)
    ends = torch.tensor(num_tokens, device=encoded.device) + _PROMPT - 1.5
    weight, bias = _least_squares(encoded.float().mean(dim=1), ends.float())
    listening = decoder.layers[0].encoder_attn
    listening.q_proj.weight.zero_()
    listening.q_proj.bias.zero_()
    listening.v_proj.weight[0] = weight
    listening.v_proj.bias[0] = bias
    listening.out_proj.weight[:, 0] = -_PER_TOKEN * direction


def _clear(rows: Tensor, direction: Tensor) -> None:
    """Remove a direction from each row."""
    along = rows.float() @ direction
    rows -= (along[:, None] * direction).to(rows.dtype)


def _least_squares(found: Tensor, wanted: Tensor) -> tuple[Tensor, float]:
    """Ridge regression with a small penalty, in float64."""
    found, wanted = found.double(), wanted.double()
    centred = found - found.mean(dim=0)
    square = centred.T @ centred
    ridge = 1e-4 * square.trace() / len(square)
    square += ridge * torch.eye(len(square), device=square.device, dtype=square.dtype)
    weight = torch.linalg.solve(square, centred.T @ (wanted - wanted.mean()))
    return weight, float(wanted.mean() - weight @ found.mean(dim=0))


@torch.no_grad()
def _agree(model: Any, encoded: Tensor, wanted: float) -> float:
    """Scale the layers that a draft lacks until it agrees with the model as often as wanted."""
    kept = spaced_layers(model.config.decoder_layers, DRAFT_LAYERS)
    between = [layer for place, layer in enumerate(model.model.decoder.layers) if place not in kept]
    weights = [
        linear.weight
        for layer in between
        for linear in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2)
    ]
    originals = [weight.clone() for weight in weights]

    def scaled(scale: float) -> float:
        for weight, original in zip(weights, originals, strict=True):
            weight.copy_(original * scale)
        return _agreement(model, make_student(model, DRAFT_LAYERS), encoded)

    low, high = 1e-3, 8.0
    tried: dict[float, float] = {}
    for _ in range(_NUM_TRIES):
        scale = (low * high) ** 0.5
        tried[scale] = scaled(scale)
        low, high = (scale, high) if tried[scale] > wanted else (low, scale)
    return scaled(min(tried, key=lambda scale: abs(tried[scale] - wanted)))


def _agreement(model: Any, draft: Any, encoded: Tensor) -> float:
    """The fraction of the model's own tokens that a draft predicts."""

    def choices(one: Any, tokens: Tensor, cache: EncoderDecoderCache | None = None) -> Tensor:
        state = one.model.decoder(
            input_ids=tokens,
            encoder_hidden_states=encoded,
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state
        chosen: Tensor = one.proj_out(state)[..., :_NUM_TEXT].argmax(dim=-1)
        return chosen

    settings = Label(teacher=Teacher(path=DEMO))
    prompt = decoding_rules(model.generation_config, model.config, settings).prompt
    tokens = torch.tensor([prompt], device=encoded.device).expand(len(encoded), -1)
    inputs, cache = tokens, EncoderDecoderCache(DynamicCache(), DynamicCache())
    for _ in range(_NUM_AGREED):
        inputs = choices(model, inputs, cache)[:, -1:]
        tokens = torch.cat([tokens, inputs], dim=1)
    drafted = choices(draft, tokens[:, :-1])[:, len(prompt) - 1 :]
    return float((drafted == tokens[:, len(prompt) :]).float().mean())
