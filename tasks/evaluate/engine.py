"""The engine that transcribes held-out speech, with a cache of what models encode alike."""

import functools
from pathlib import Path
from typing import Final

from configs.schema import RunConfig
from storage.store import Store
from tasks.whisper.encoding.cache import FOLDER, EncoderCache
from tasks.whisper.engines import whisper_engine
from tasks.whisper.model import LoadedWhisper
from tasks.whisper.whisper import WhisperEngine

_MAX_ENGINES: Final = 2  # a teacher and a student


def evaluation_engine(config: RunConfig, store: Store, model: LoadedWhisper) -> WhisperEngine:
    """The engine over a model, cached so that shards share its buffers."""
    batch_size = config.runtime.label_batch_size
    if not shares_encodings(config, model):
        return whisper_engine(model, batch_size)
    return _sharing(model, batch_size, store.scratch_folder(), config.runtime.encoder_cache_gb)


def shares_encodings(config: RunConfig, model: LoadedWhisper) -> bool:
    """Whether the model's encoder output is kept on disk for other models with its encoder.

    Those are the teacher and students whose encoder is frozen. A GPU encodes about as fast as a
    disk reads, and not every window alike in each batch.
    """
    is_kept = config.runtime.encoder_cache_gb > 0 and config.distil.freeze_encoder
    return is_kept and model.model.device.type == "cpu"


def encodings_of(model: LoadedWhisper, scratch: Path, limit_gb: float) -> EncoderCache:
    """The exact encoder output of held-out speech, below the `scratch` folder.

    What was read is what would be computed, bit by bit: no figure depends on the cache.
    """
    encoder, dtype = model.model.model.encoder, str(model.model.dtype).removeprefix("torch.")
    return EncoderCache(scratch / FOLDER, round(limit_gb * 1e9), encoder, dtype, is_exact=True)


@functools.lru_cache(maxsize=_MAX_ENGINES)
def _sharing(
    model: LoadedWhisper, batch_size: int, scratch: Path, limit_gb: float
) -> WhisperEngine:
    encodings = encodings_of(model, scratch, limit_gb)
    return WhisperEngine(model, batch_size, encoder_cache=encodings)
