"""Fixtures: corpora read from files, rows of noise, and a Whisper with random weights."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from configs.schema import CorpusSettings, Label, Teacher
from storage.store import Store
from tasks.audio import SAMPLE_RATE_HZ, encode_flac
from tasks.corpora.base import Corpus, Segment, Unplanned
from tasks.download.files import RawFiles
from tasks.download.parts import Downloads
from tasks.download.raw import download
from tasks.normalise.schema import NORMALISED

if TYPE_CHECKING:
    from transformers import WhisperProcessor

    from tasks.whisper.model import LoadedWhisper
    from tasks.whisper.tokens import SpecialTokens

WINDOW_S = 2
SENTENCES = ("the boat was very small", "mister brown saw two horses", "we lost a yellow letter")

Normalised = Callable[..., pa.RecordBatch]
ReadCorpus = Callable[..., tuple[list[Segment | Unplanned], RawFiles]]


@pytest.fixture
def read_corpus(tmp_path: Path, store: Store) -> ReadCorpus:
    """Reads a corpus from files by path, through a mirror; returns items and raw files."""

    def read(
        corpus: Corpus, files: Mapping[str, bytes], splits: tuple[str, ...] | None = None
    ) -> tuple[list[Segment | Unplanned], RawFiles]:
        mirror = tmp_path / "mirror"
        lines = []
        for name, data in files.items():
            (mirror / name).parent.mkdir(parents=True, exist_ok=True)
            (mirror / name).write_bytes(data)
            lines.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
        (mirror / "SHA256SUMS").write_text("".join(lines))
        settings = CorpusSettings(mirror=str(mirror), checksums="sha256sums", splits=splits)
        while pending := Downloads.load(store, corpus, settings).missing():
            for part in pending.values():
                download(store, corpus, settings, part)
        receipts = list(Downloads.load(store, corpus, settings).receipts.values())
        raw = RawFiles(store, receipts, settings.mirror)
        return list(corpus.read(raw)), raw

    return read


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    """A row of NORMALISED with noise of the given length, derived from the id."""

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
def tiny_teacher() -> "LoadedWhisper":
    """A multilingual Whisper with a window of 2 s, whose tokens are words only by chance."""
    import torch
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
    )

    from tasks.demo.teaching.tokenizer import build_tokenizer
    from tasks.whisper.model import LoadedWhisper

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
    return LoadedWhisper(model=model, feature_extractor=extractor, tokenizer=tokenizer)


@pytest.fixture(scope="session")
def processor() -> "WhisperProcessor":
    """The processor of a multilingual Whisper with a window of 1 s."""
    from transformers import WhisperFeatureExtractor, WhisperProcessor

    from tasks.demo.teaching.tokenizer import build_tokenizer

    tokenizer = build_tokenizer(SENTENCES, window_s=1)
    return WhisperProcessor(WhisperFeatureExtractor(chunk_length=1), tokenizer)


@pytest.fixture(scope="session")
def special(processor: "WhisperProcessor") -> "SpecialTokens":
    """The special tokens of that processor."""
    from tasks.whisper.tokens import SpecialTokens

    return SpecialTokens.of(processor.tokenizer)
