"""The package openai-whisper as the reference for long recordings."""

from json import loads
from pathlib import Path
from typing import Any, Final

import pytest
from safetensors.torch import load_file
from torch import Tensor

from tasks.audio import Samples

# in this order
_NAMES: Final = (
    ("model.", ""),
    (".layers.", ".blocks."),
    ("encoder.layer_norm", "encoder.ln_post"),
    ("decoder.layer_norm", "decoder.ln"),
    ("embed_tokens.weight", "token_embedding.weight"),
    ("embed_positions.weight", "positional_embedding"),
    ("self_attn_layer_norm", "attn_ln"),
    ("encoder_attn_layer_norm", "cross_attn_ln"),
    ("final_layer_norm", "mlp_ln"),
    ("self_attn", "attn"),
    ("encoder_attn", "cross_attn"),
    ("q_proj", "query"),
    ("k_proj", "key"),
    ("v_proj", "value"),
    ("out_proj", "out"),
    ("fc1", "mlp.0"),
    ("fc2", "mlp.2"),
)


class OpenAiWhisper:
    """A Whisper in a folder of transformers' format, run by openai-whisper on the CPU in float32.

    Skips the test if the package is not installed.
    """

    def __init__(self, folder: Path) -> None:
        whisper: Any = pytest.importorskip(
            "whisper.model", reason="needs the package openai-whisper: see CONTRIBUTING.md"
        )
        config = loads((folder / "config.json").read_text())
        dimensions = whisper.ModelDimensions(
            n_mels=config["num_mel_bins"],
            n_audio_ctx=config["max_source_positions"],
            n_audio_state=config["d_model"],
            n_audio_head=config["encoder_attention_heads"],
            n_audio_layer=config["encoder_layers"],
            n_vocab=config["vocab_size"],
            n_text_ctx=config["max_target_positions"],
            n_text_state=config["d_model"],
            n_text_head=config["decoder_attention_heads"],
            n_text_layer=config["decoder_layers"],
        )
        self._model = whisper.Whisper(dimensions)
        self._model.load_state_dict(_weights(folder), strict=True)
        self._model.eval()

    def transcribe(self, recording: Samples) -> str:
        """Greedy text of a recording of any length, without previous text as a prompt."""
        found = self._model.transcribe(
            recording,
            language="en",
            temperature=0.0,
            condition_on_previous_text=False,
            fp16=False,
            verbose=None,
        )
        text: str = found["text"].strip()
        return text


def _weights(folder: Path) -> dict[str, Tensor]:
    """The weights under the names of openai-whisper; the last projection is that of the tokens."""
    found: dict[str, Tensor] = {}
    for name, value in load_file(folder / "model.safetensors").items():
        if name == "proj_out.weight":
            continue
        for old, new in _NAMES:
            name = name.replace(old, new)
        found[name] = value.float()
    return found
