"""Normalised speech of noise, and a Whisper of random weights that hears it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from configs.schema import Label, Teacher
from storage.schema import NORMALISED, SAMPLE_RATE_HZ
from tasks.audio import encode_flac

if TYPE_CHECKING:
    from tasks.label.teacher import Transcriber

WINDOW_S = 2

Normalised = Callable[..., pa.RecordBatch]


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    """A row of NORMALISED: noise that the id decides, of the given number of samples."""

    def make(id: str, num_samples: int = 8_000, **changes: object) -> dict[str, Any]:
        random = np.random.default_rng(sum(id.encode()))
        noise = random.integers(-8_000, 8_000, num_samples).astype(np.int16)
        return {
            "id": id,
            "corpus": "noise",
            "split": "train",
            "recording_id": "tape",
            "speaker_id": "ann",
            "start_s": 0.0,
            "duration_s": num_samples / SAMPLE_RATE_HZ,
            "audio": {"bytes": encode_flac(noise), "path": f"{id}.flac"},
            "raw_text": "THE BOAT WAS SMALL",
            **changes,
        }

    return make


@pytest.fixture
def normalised() -> Normalised:
    """A batch of NORMALISED from rows."""

    def make(*rows: dict[str, Any]) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist(list(rows), schema=NORMALISED)

    return make


@pytest.fixture
def label_settings() -> Label:
    return Label(teacher=Teacher(path="unused"), max_new_tokens=12)


@pytest.fixture(scope="session")
def tiny_teacher() -> "Transcriber":
    """A multilingual Whisper with a window of 2 s, whose tokens are words only by chance."""
    import torch
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
    )

    from tasks.demo.tokenizer import build_tokenizer
    from tasks.label.teacher import Transcriber

    tokenizer = build_tokenizer(["the boat was very small", "we lost a yellow letter"], WINDOW_S)
    ids = tokenizer.convert_tokens_to_ids
    end = ids("<|endoftext|>")
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=16,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_source_positions=50 * WINDOW_S,
        max_target_positions=32,
        init_std=0.5,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=ids("<|startoftranscript|>"),
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = WhisperForConditionalGeneration(config).eval()
    model.generation_config = GenerationConfig(
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=config.decoder_start_token_id,
        no_timestamps_token_id=ids("<|notimestamps|>"),
        is_multilingual=True,
        lang_to_id={"<|en|>": ids("<|en|>"), "<|de|>": ids("<|de|>")},
        task_to_id={"transcribe": ids("<|transcribe|>"), "translate": ids("<|translate|>")},
    )
    extractor = WhisperFeatureExtractor(chunk_length=WINDOW_S)
    return Transcriber(model=model, feature_extractor=extractor, tokenizer=tokenizer)
