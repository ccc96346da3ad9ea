"""Loads a Whisper, teacher or student: weights, feature extractor and tokenizer, cached.

Deals with the Hugging Face format and devices; it has no notion of shards or utterances.
"""

import functools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from torch import Tensor, nn
from transformers import (
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)
from transformers.utils import logging as transformers_logging

from configs.schema import Teacher
from storage.errors import TransientError, UserError
from tasks.audio import SAMPLE_RATE_HZ, Samples
from tasks.whisper.device import Device, device_name
from tasks.whisper.identity import MODEL_FILES, model_files, teacher_identity

Dtype = Literal["float32", "bfloat16", "float16"]

_MAX_MODELS: Final = 2  # a teacher and a student; more could fill the device
_LOCK = threading.Lock()
_TRAINING_ONLY: Final = ("masked_spec_embed",)
"""Weights that published Wav2Vec2 models lack, and that only their training uses."""

_ADVICE: Final = "copy all files again that save_pretrained of transformers wrote"


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class LoadedWhisper:
    """A model on its device with its feature extractor and tokenizer."""

    model: WhisperForConditionalGeneration
    feature_extractor: WhisperFeatureExtractor
    tokenizer: WhisperTokenizer

    @property
    def window_samples(self) -> int:
        """The length of the model's input window, in samples at 16 kHz."""
        num_samples: int = self.feature_extractor.n_samples
        return num_samples


def load_whisper(
    settings: Teacher, dtype: Dtype = "float32", device: Device = "auto"
) -> LoadedWhisper:
    """Load the model of `settings`; the last two are cached in the process.

    Reads weights in safetensors only and runs no code that comes with a model. `device` auto is
    the GPU if there is one. Raises `UserError` for a folder that holds no Whisper, weights that are
    missing, NaN or infinite, a hub model that does not exist and a missing GPU, `TransientError`
    when the hub is unreachable.
    """
    on_device = device_name(device)
    with _LOCK:  # concurrent threads load one copy
        folder = model_folder(settings)
        return _load(str(folder), teacher_identity(settings), dtype, on_device)


@functools.lru_cache(maxsize=_MAX_MODELS)
def _load(folder: str, identity: str, dtype: Dtype, device: str) -> LoadedWhisper:
    """`identity` is part of the cache key because the files in a folder may change."""
    with readable_model(folder, "Whisper", _ADVICE):
        loaded: Any = WhisperForConditionalGeneration.from_pretrained(
            folder,
            use_safetensors=True,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            output_loading_info=True,
        )
        extractor = WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
        tokenizer = WhisperTokenizer.from_pretrained(folder, local_files_only=True)
    model, loading = loaded
    require_sound_weights(model, loading, folder)
    _require_matching_features(folder, extractor, model.config.max_source_positions)
    _make_ready(model, device)
    return LoadedWhisper(model=model, feature_extractor=extractor, tokenizer=tokenizer)


@contextmanager
def readable_model(folder: str, kind: str, advice: str) -> Iterator[None]:
    """Convert any error while a model is loaded from a folder to a `UserError` of one line.

    Each library that takes part has errors of its own, and tokenizers raises a bare `Exception`.
    """
    try:
        with silent_transformers():
            yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"the folder {folder!r} holds no readable {kind} ({lines[0]}); {advice}"
        ) from error


def require_sound_weights(model: nn.Module, loading: Mapping[str, Any], folder: str) -> None:
    """Raise `UserError` if a weight is missing in the files of a model, or is NaN or infinite.

    `loading` is what transformers reports with `output_loading_info`: it draws missing weights at
    random.
    """
    missing = sorted(name for name in loading["missing_keys"] if not name.endswith(_TRAINING_ONLY))
    if missing:
        raise UserError(
            f"the weights in {folder!r} are incomplete: {len(missing)} are missing, the first is"
            f" {missing[0]}; copy the model again"
        )
    weights = model.state_dict()
    if (name := find_not_finite(weights)) is not None:
        dtype = str(weights[name].dtype).removeprefix("torch.")
        raise UserError(
            f"the weights in {folder!r} are unusable: {name} is NaN or infinite in {dtype},"
            " expected finite numbers; use another model, or another dtype if this one overflows"
        )


def find_not_finite(weights: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor with a NaN or infinite value, or None; one pass over each."""
    for name, tensor in weights.items():
        if tensor.is_floating_point() and tensor.numel():
            extremes = torch.stack(torch.aminmax(tensor))  # NaN if any value is
            if not extremes.isfinite().all():
                return name
    return None


def _make_ready(model: nn.Module, device: str) -> None:
    model.eval()
    model.requires_grad_(False)
    model.to(device)


def _require_matching_features(
    folder: str, extractor: WhisperFeatureExtractor, num_positions: int
) -> None:
    """The encoder has exactly one position for every two frames of the window."""
    if extractor.sampling_rate != SAMPLE_RATE_HZ or extractor.nb_max_frames != 2 * num_positions:
        raise UserError(
            f"the teacher at {folder!r} expects {2 * num_positions} frames at {SAMPLE_RATE_HZ} Hz,"
            f" but its preprocessor_config.json gives {extractor.nb_max_frames} at"
            f" {extractor.sampling_rate} Hz; use the file that came with these weights"
        )


def log_mel(whisper: LoadedWhisper, waveforms: Sequence[Samples]) -> Tensor:
    """Features of each waveform, (windows, mels, frames), in the model's dtype on its device.

    A waveform is (samples,) float32 at 16 kHz and is padded with silence to the window. Raises
    `ValueError` for one that is longer instead of truncating it silently.
    """
    longest = max(len(waveform) for waveform in waveforms)
    if longest > whisper.window_samples:
        raise ValueError(
            f"a waveform has {longest} samples, but the window {whisper.window_samples}"
        )
    model = whisper.model
    features: Tensor = whisper.feature_extractor(
        list(waveforms),
        sampling_rate=SAMPLE_RATE_HZ,
        return_tensors="pt",
        device=str(model.device),
    ).input_features
    return features.to(device=model.device, dtype=model.dtype)


def model_folder(settings: Teacher) -> Path:
    """The model's local folder, downloaded from the hub if needed; raises as `load_whisper`."""
    if (folder := settings.folder) is not None:
        model_files(folder)
        return folder.resolve()
    return _download(str(settings.hub), str(settings.revision))


@functools.cache
def _download(hub: str, revision: str) -> Path:
    """Cached, because each call contacts the hub even when all files are on disk."""
    name = f"{hub}@{revision}"
    try:
        return Path(
            snapshot_download(
                hub,
                revision=revision,
                allow_patterns=[*MODEL_FILES, "model*.safetensors"],
                ignore_patterns=["*fp32*"],  # large-v3 ships its weights twice
            )
        )
    except (RepositoryNotFoundError, RevisionNotFoundError, GatedRepoError) as error:
        raise UserError(
            f"the hub has no model {name} that you may read; check `hub` and `revision`, and"
            " HF_TOKEN if the model requires an account"
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise TransientError(
            f"the model {name} cannot be downloaded ({type(error).__name__}); check the network, or"
            " copy the model to a folder and set `path`"
        ) from error


@contextmanager
def silent_transformers() -> Iterator[None]:
    """Suppress warnings and progress bars of transformers, and restore them afterwards."""
    hide_bars: Callable[[], None] = transformers_logging.disable_progress_bar
    show_bars: Callable[[], None] = transformers_logging.enable_progress_bar
    verbosity = transformers_logging.get_verbosity()
    had_bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    hide_bars()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if had_bars:
            show_bars()
