"""A Whisper that is ready to listen: its weights, its features and its tokenizer, loaded once.

Knows Hugging Face's format and the devices of this machine; knows no shard and no utterance.
"""

import functools
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError
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
from tasks.whisper.identity import MODEL_FILES, model_files, teacher_identity

Dtype = Literal["float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda"]

_NUM_KEPT: Final = 2  # a teacher and a student; more could fill the device
_LOADING = threading.Lock()


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Transcriber:
    """A model ready on its device, and what turns sound into features and ids into text."""

    model: WhisperForConditionalGeneration
    feature_extractor: WhisperFeatureExtractor
    tokenizer: WhisperTokenizer

    @property
    def window_samples(self) -> int:
        """The length of what the model hears at once, at 16 kHz."""
        num_samples: int = self.feature_extractor.n_samples
        return num_samples


def load_teacher(
    settings: Teacher, dtype: Dtype = "float32", device: Device = "auto"
) -> Transcriber:
    """The model of `settings`, from memory when this process has it already.

    Only weights in safetensors are read and no code that comes with a model is run. `device` auto
    is the GPU where there is one. Raises `UserError` for a folder that holds no Whisper, a hub
    model that does not exist and a GPU that is not there, `TransientError` when the hub does not
    answer.
    """
    on_device = device_name(device)
    with _LOADING:  # so that threads that start together load one copy
        folder = model_folder(settings)
        return _load(str(folder), teacher_identity(settings), dtype, on_device)


@functools.lru_cache(maxsize=_NUM_KEPT)
def _load(folder: str, identity: str, dtype: Dtype, device: str) -> Transcriber:
    """`identity` is part of the key: a folder may come to hold other weights."""
    with silent_transformers():
        try:
            model = WhisperForConditionalGeneration.from_pretrained(
                folder, use_safetensors=True, dtype=getattr(torch, dtype), local_files_only=True
            )
            extractor = WhisperFeatureExtractor.from_pretrained(folder, local_files_only=True)
            tokenizer = WhisperTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            first_line = str(error).strip().splitlines()[0]
            raise UserError(
                f"the folder {folder!r} holds no readable Whisper ({first_line}); expected the"
                " files that save_pretrained of transformers writes; copy them again"
            ) from error
    _refuse_other_features(folder, extractor, model.config.max_source_positions)
    _make_ready(model, device)
    return Transcriber(model=model, feature_extractor=extractor, tokenizer=tokenizer)


def _make_ready(model: nn.Module, device: str) -> None:
    model.eval()
    model.requires_grad_(False)
    model.to(device)


def _refuse_other_features(
    folder: str, extractor: WhisperFeatureExtractor, num_positions: int
) -> None:
    """The encoder has a position for every second frame of the window, and no other number."""
    if extractor.sampling_rate != SAMPLE_RATE_HZ or extractor.nb_max_frames != 2 * num_positions:
        raise UserError(
            f"the teacher at {folder!r} hears {2 * num_positions} frames at {SAMPLE_RATE_HZ} Hz,"
            f" and its preprocessor_config.json makes {extractor.nb_max_frames} at"
            f" {extractor.sampling_rate} Hz; take the one that came with these weights"
        )


def log_mel(transcriber: Transcriber, waveforms: Sequence[Samples]) -> Tensor:
    """The features of each waveform, (windows, mels, frames), in the model's dtype on its device.

    A waveform is (samples,) float32 at 16 kHz and padded with silence to the window. Raises
    `ValueError` for one that is longer, which would be cut without a trace.
    """
    longest = max(len(waveform) for waveform in waveforms)
    if longest > transcriber.window_samples:
        raise ValueError(
            f"a waveform has {longest} samples and the window {transcriber.window_samples}"
        )
    model = transcriber.model
    features: Tensor = transcriber.feature_extractor(
        list(waveforms),
        sampling_rate=SAMPLE_RATE_HZ,
        return_tensors="pt",
        device=str(model.device),
    ).input_features
    return features.to(device=model.device, dtype=model.dtype)


def model_folder(settings: Teacher) -> Path:
    """The model's local folder, fetched from the hub where need be; raises as `load_teacher`."""
    if settings.path is not None:
        model_files(Path(settings.path))
        return Path(settings.path).resolve()
    return _fetched(str(settings.hub), str(settings.revision))


@functools.cache
def _fetched(hub: str, revision: str) -> Path:
    """Asked once a process, for the hub is asked each time even when all is on disk."""
    name = f"{hub}@{revision}"
    try:
        return Path(
            snapshot_download(
                hub,
                revision=revision,
                allow_patterns=[*MODEL_FILES, "model*.safetensors"],
                ignore_patterns=["*fp32*"],  # large-v3 has every weight twice
            )
        )
    except (RepositoryNotFoundError, RevisionNotFoundError, GatedRepoError) as error:
        raise UserError(
            f"the hub has no model {name} that you may read; check `hub` and `revision`, and"
            " HF_TOKEN if the model asks for an account"
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise TransientError(
            f"the model {name} cannot be fetched ({type(error).__name__}); check the network, or"
            " copy the model to a folder and give its `path`"
        ) from error


def device_name(device: Device) -> str:
    """The device as torch calls it; raises `UserError` for a GPU that is not there."""
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "runtime.device is cuda and torch finds no GPU; set it to auto or cpu, or install the"
            " driver and a torch that was built for it"
        )
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


@contextmanager
def silent_transformers() -> Iterator[None]:
    """No warnings and no bars of progress, and afterwards all as it was."""
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
