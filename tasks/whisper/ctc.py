"""An engine over a CTC acoustic model of transformers instead of a Whisper.

Wav2Vec2, HuBERT, WavLM and similar models, trained with connectionist temporal classification (CTC;
Graves and others, 2006). It also shows how small an engine can be: it yields text without tokens.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from transformers import AutoFeatureExtractor, AutoModelForCTC, AutoTokenizer, PreTrainedModel

from configs.schema import Label
from storage.errors import ShardError
from tasks.audio import SAMPLE_RATE_HZ, Samples
from tasks.whisper.device import Device, device_name
from tasks.whisper.engine import AudioWindow, DecodingResult, Transcriptions
from tasks.whisper.identity import teacher_identity
from tasks.whisper.model import Dtype, model_folder, readable_model, require_sound_weights

_ADVICE: Final = (
    "use a Wav2Vec2, HuBERT or similar in safetensors, with its tokenizer and"
    " preprocessor_config.json"
)

WINDOW_S: Final = 30
"""A CTC model accepts any length; this is Whisper's, so that shards are packed the same way."""


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class CtcEngine:
    """Transcribes one window at a time, because the padding of a batch would change results."""

    model: PreTrainedModel
    feature_extractor: Any
    tokenizer: Any

    @property
    def window_samples(self) -> int:
        """`WINDOW_S` in samples at 16 kHz."""
        return WINDOW_S * SAMPLE_RATE_HZ

    def transcribe(self, windows: Iterable[AudioWindow], settings: Label) -> Transcriptions:
        """Greedy CTC decoding: the best symbol of each frame, repeats and blanks collapsed.

        `avg_logprob` is the mean over frames. `tokens` is empty, since they would not be Whisper's,
        and `no_speech_prob` is 0, since such a model estimates none. Raises `ValueError` for a
        window with a temperature, `ShardError` when the device cannot hold a window.
        """
        for window in windows:
            if window.temperature:
                raise ValueError(
                    f"a CTC model cannot sample; the window's temperature is {window.temperature}"
                )
            yield window, self._decode(window)

    @property
    def samples_per_frame(self) -> int:
        """Samples at 16 kHz from one frame of symbols to the next, 320 for a Wav2Vec2."""
        return int(getattr(self.model.config, "inputs_to_logits_ratio", 1))

    def best_symbols(self, samples: Samples) -> list[int]:
        """The best symbol of each frame of a waveform, (samples,) float32 at 16 kHz.

        Raises `ShardError` when the device cannot hold it.
        """
        symbols: list[int] = self._logprobs(samples).argmax(dim=-1).tolist()
        return symbols

    def text(self, symbols: Sequence[int]) -> str:
        """The text of the best symbols of frames, repeats and blanks collapsed."""
        return str(self.tokenizer.decode(list(symbols), skip_special_tokens=True)).strip()

    def _decode(self, window: AudioWindow) -> DecodingResult:
        best = self._logprobs(window.samples).max(dim=-1)
        return DecodingResult(
            text=self.text(best.indices.tolist()),
            tokens=(),
            avg_logprob=float(np.mean(best.values.cpu().numpy())),
            no_speech_prob=0.0,
            has_end=True,
        )

    @torch.inference_mode()
    def _logprobs(self, samples: Samples) -> Tensor:
        """The log-probabilities of the symbols, (frames, symbols)."""
        values = self.feature_extractor(samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt")
        name = self.model.main_input_name
        inputs = values[name].to(device=self.model.device, dtype=self.model.dtype)
        try:
            logits: Tensor = self.model(inputs).logits[0]
        except torch.OutOfMemoryError as error:
            raise ShardError(
                f"{self.model.device} has no memory for a single window: {error}; free some, or"
                " set runtime.device to cpu"
            ) from error
        return logits.float().log_softmax(dim=-1)


def load_ctc(settings: Label, device: Device = "auto") -> CtcEngine:
    """Load the engine over `settings.teacher`, once per process.

    Reads weights in safetensors only and runs no code that comes with a model. Raises as
    `load_whisper`, and `UserError` for a model that was not trained with CTC.
    """
    folder = str(model_folder(settings.teacher))
    return _load(folder, teacher_identity(settings.teacher), settings.dtype, device_name(device))


@functools.lru_cache(maxsize=1)
def _load(folder: str, identity: str, dtype: Dtype, device: str) -> CtcEngine:
    """`identity` is part of the cache key because the files in a folder may change."""
    with readable_model(folder, "CTC model", _ADVICE):
        model, loading = AutoModelForCTC.from_pretrained(
            folder,
            output_loading_info=True,
            use_safetensors=True,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            trust_remote_code=False,
        )
        extractor = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    require_sound_weights(model, loading, folder)
    model.eval().requires_grad_(False).to(device)
    return CtcEngine(model=model, feature_extractor=extractor, tokenizer=tokenizer)
