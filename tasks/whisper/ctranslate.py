"""A Whisper in CTranslate2 as an engine, converted on the fly from the teacher's own files.

Greedy decoding is CTranslate2's; features, prompt and text are those of our own engine, and so is
the sampling after a failed check, because CTranslate2 has no noise that a window alone decides.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from tempfile import TemporaryDirectory
from typing import Final

import ctranslate2
import torch
from ctranslate2.converters import TransformersConverter

from configs.schema import Label
from storage.errors import ShardError, UserError
from tasks.whisper.decoding.rules import DecodingRules, decoding_rules
from tasks.whisper.engine import AudioWindow, DecodingResult, Engine, Transcriptions
from tasks.whisper.features import LogMel
from tasks.whisper.identity import teacher_identity
from tasks.whisper.teacher import (
    Device,
    Dtype,
    Transcriber,
    device_name,
    load_teacher,
    model_folder,
    silent_transformers,
)

_ANY_TIME: Final = 1 << 16


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class CTranslate2Engine:
    """`model` decodes `batch_size` windows at once, prepared by the parts of `transcriber`.

    `sampler` hears at temperatures above 0, as many together as wait for it.
    """

    model: ctranslate2.models.Whisper
    transcriber: Transcriber
    log_mel: LogMel
    sampler: Engine
    batch_size: int

    @property
    def window_samples(self) -> int:
        """The length of what it hears at once, at 16 kHz."""
        return self.transcriber.window_samples

    def transcribe(self, sounds: Iterable[AudioWindow], settings: Label) -> Transcriptions:
        """Every sound with what was heard in it, batch by batch; see `Engine`."""
        model = self.transcriber.model
        rules = decoding_rules(model.generation_config, model.config, settings)
        if rules.max_new_tokens < len(rules.prompt):
            raise UserError(
                f"label.max_new_tokens is {rules.max_new_tokens}, and CTranslate2 takes no less"
                f" than the {len(rules.prompt)} tokens of the prompt; raise it, or set"
                " label.engine to whisper"
            )
        waiting, sampled = iter(sounds), list[AudioWindow]()
        while batch := list(islice(waiting, self.batch_size)):
            greedy = [sound for sound in batch if not sound.temperature]
            sampled += (sound for sound in batch if sound.temperature)
            for sound, heard in zip(greedy, self._heard(greedy, rules), strict=True):
                again = yield sound, heard
                if again is not None:
                    sampled.append(again)
            if len(sampled) >= self.batch_size:
                yield from self.sampler.transcribe(sampled, settings)
                sampled.clear()
        yield from self.sampler.transcribe(sampled, settings)

    def _heard(self, sounds: Sequence[AudioWindow], rules: DecodingRules) -> list[DecodingResult]:
        """In halves where the device has no memory for all."""
        if not sounds:
            return []
        features = self.log_mel([sound.samples for sound in sounds])
        timestamps = rules.timestamps
        try:
            results = self.model.generate(
                ctranslate2.StorageView.from_array(features.cpu().numpy()),
                [list(rules.prompt)] * len(sounds),
                beam_size=1,
                max_length=2 * rules.max_new_tokens,  # of which it leaves half to what was before
                return_scores=True,
                return_no_speech_prob=True,
                suppress_tokens=list(rules.suppressed_ids),
                suppress_blank=bool(rules.suppressed_first_ids),
                max_initial_timestamp_index=_ANY_TIME
                if timestamps is None or timestamps.max_initial_steps is None
                else timestamps.max_initial_steps,
            )
        except RuntimeError as error:
            if "out of memory" not in str(error):
                raise
            if len(sounds) == 1:
                raise ShardError(
                    f"the device has no memory for a single window: {error}; free some, or set"
                    " runtime.device to cpu"
                ) from error
        else:
            return [self._answer(result, rules) for result in results]
        half = len(sounds) // 2
        return self._heard(sounds[:half], rules) + self._heard(sounds[half:], rules)

    def _answer(
        self, result: ctranslate2.models.WhisperGenerationResult, rules: DecodingRules
    ) -> DecodingResult:
        """It gives neither prompt nor end token, and the mean over the tokens without the end."""
        sampled = result.sequences_ids[0]
        has_end = len(sampled) < rules.max_new_tokens
        text_ids = [token for token in sampled if token < rules.end_id]
        text = self.transcriber.tokenizer.decode(text_ids, clean_up_tokenization_spaces=False)
        return DecodingResult(
            text=str(text).strip(),
            tokens=(*rules.prompt, *sampled, *([rules.end_id] if has_end else [])),
            avg_logprob=result.scores[0] * len(sampled) / (len(sampled) + 1),
            no_speech_prob=result.no_speech_prob,
            has_end=has_end,
        )


def load_ctranslate2(
    settings: Label, device: Device, sampler: Engine, batch_size: int
) -> CTranslate2Engine:
    """The engine over `settings.teacher`, converted once a process into memory alone.

    Raises as `load_teacher`, and `UserError` for a `dtype` that CTranslate2 has not on the device.
    """
    folder, identity = model_folder(settings.teacher), teacher_identity(settings.teacher)
    transcriber = load_teacher(settings.teacher, settings.dtype, device)
    return CTranslate2Engine(
        model=_load(str(folder), identity, settings.dtype, device_name(device)),
        transcriber=transcriber,
        log_mel=LogMel(transcriber.feature_extractor, transcriber.model.device, torch.float32),
        sampler=sampler,
        batch_size=batch_size,
    )


@functools.lru_cache(maxsize=1)
def _load(folder: str, identity: str, dtype: Dtype, device: str) -> ctranslate2.models.Whisper:
    """`identity` is part of the key: a folder may come to hold other weights."""
    with TemporaryDirectory() as temporary:
        converted = f"{temporary}/model"
        try:
            with silent_transformers():
                TransformersConverter(folder).convert(converted, quantization=dtype)
            return ctranslate2.models.Whisper(converted, device=device, compute_type=dtype)
        except (OSError, ValueError, RuntimeError) as error:
            first_line = str(error).strip().splitlines()[0]
            raise UserError(
                f"CTranslate2 cannot hear with the teacher in {dtype} on {device} ({first_line});"
                " change label.dtype, or set label.engine to whisper"
            ) from error
