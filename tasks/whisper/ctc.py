"""A teacher that is no Whisper: an acoustic model of transformers that spells out what it hears.

Wav2Vec2, HuBERT, WavLM and their like, trained with connectionist temporal classification (CTC;
Graves and others, 2006). The example of how small an engine can be: text without tokens.
"""

import functools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from transformers import AutoFeatureExtractor, AutoModelForCTC, AutoTokenizer, PreTrainedModel

from configs.schema import Label
from storage.errors import ShardError, UserError
from tasks.audio import SAMPLE_RATE_HZ
from tasks.whisper.engine import AudioWindow, DecodingResult, Transcriptions
from tasks.whisper.identity import teacher_identity
from tasks.whisper.teacher import Device, Dtype, device_name, model_folder, silent_transformers

WINDOW_S: Final = 30
"""Such a model hears any length; as long as Whisper, so that shards are packed alike."""


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class CtcEngine:
    """Hears one window at a time, for in a batch the padding would change what is heard."""

    model: PreTrainedModel
    feature_extractor: Any
    tokenizer: Any

    @property
    def window_samples(self) -> int:
        """`WINDOW_S` at 16 kHz."""
        return WINDOW_S * SAMPLE_RATE_HZ

    def transcribe(self, sounds: Iterable[AudioWindow], settings: Label) -> Transcriptions:
        """The likeliest letter of each frame, repeats and blanks left out.

        `avg_logprob` is the mean over the frames. There are no tokens, for they would not be
        Whisper's, and no notion of no speech: `no_speech_prob` is 0. Raises `ValueError` for a
        sound that is to be sampled, `ShardError` when the device has no memory for a window.
        """
        for sound in sounds:
            if sound.temperature:
                raise ValueError(
                    f"a CTC model samples nothing; the temperature is {sound.temperature}"
                )
            yield sound, self._heard(sound)

    @torch.inference_mode()
    def _heard(self, sound: AudioWindow) -> DecodingResult:
        values = self.feature_extractor(
            sound.samples, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt"
        )
        name = self.model.main_input_name
        inputs = values[name].to(device=self.model.device, dtype=self.model.dtype)
        try:
            logprobs = self.model(inputs).logits[0].float().log_softmax(dim=-1)
        except torch.OutOfMemoryError as error:
            raise ShardError(
                f"{self.model.device} has no memory for a single window: {error}; free some, or"
                " set runtime.device to cpu"
            ) from error
        best = logprobs.max(dim=-1)
        ids: list[int] = best.indices.tolist()
        return DecodingResult(
            text=str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip(),
            tokens=(),
            avg_logprob=float(np.mean(best.values.cpu().numpy())),
            no_speech_prob=0.0,
            has_end=True,
        )


def load_ctc(settings: Label, device: Device = "auto") -> CtcEngine:
    """The engine over `settings.teacher`, from memory when this process has it already.

    Only weights in safetensors are read and no code that comes with a model is run. Raises as
    `load_teacher`, and `UserError` for a model that was not trained with CTC.
    """
    folder = str(model_folder(settings.teacher))
    return _load(folder, teacher_identity(settings.teacher), settings.dtype, device_name(device))


@functools.lru_cache(maxsize=1)
def _load(folder: str, identity: str, dtype: Dtype, device: str) -> CtcEngine:
    """`identity` is part of the key: a folder may come to hold other weights."""
    with silent_transformers():
        try:
            model = AutoModelForCTC.from_pretrained(
                folder,
                use_safetensors=True,
                dtype=getattr(torch, dtype),
                local_files_only=True,
                trust_remote_code=False,
            )
            extractor = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            first_line = str(error).strip().splitlines()[0]
            raise UserError(
                f"{os.path.basename(folder)!r} holds no readable CTC model ({first_line}); take a"
                " Wav2Vec2, HuBERT or the like in safetensors, with its tokenizer and"
                " preprocessor_config.json"
            ) from error
    model.eval().requires_grad_(False).to(device)
    return CtcEngine(model=model, feature_extractor=extractor, tokenizer=tokenizer)
