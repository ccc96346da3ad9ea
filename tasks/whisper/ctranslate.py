"""An engine over CTranslate2, which converts the teacher's files when it is loaded.

Greedy decoding is CTranslate2's. Features, prompt and text are those of the built-in engine, which
also does the sampling for temperature fallback: CTranslate2 has no noise that depends on the window
alone.
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
from tasks.whisper.device import Device, device_name
from tasks.whisper.encoding.features import LogMel
from tasks.whisper.engine import AudioWindow, DecodingResult, Engine, Transcriptions
from tasks.whisper.identity import teacher_identity
from tasks.whisper.model import (
    Dtype,
    LoadedWhisper,
    load_whisper,
    model_folder,
    silent_transformers,
)
from tasks.whisper.result import decoding_result

_NO_TIMESTAMP_LIMIT: Final = 1 << 16


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class CTranslate2Engine:
    """`model` decodes `batch_size` windows at once, with features and tokenizer of `whisper`.

    `sampler` decodes windows with a temperature above 0, collected into batches of the same size.
    """

    model: ctranslate2.models.Whisper
    whisper: LoadedWhisper
    log_mel: LogMel
    sampler: Engine
    batch_size: int

    @property
    def window_samples(self) -> int:
        """The longest window it accepts, in samples at 16 kHz."""
        return self.whisper.window_samples

    def transcribe(self, windows: Iterable[AudioWindow], settings: Label) -> Transcriptions:
        """Transcribe batch by batch; see `Engine`."""
        model = self.whisper.model
        rules = decoding_rules(model.generation_config, model.config, settings)
        if rules.max_new_tokens < len(rules.prompt):
            raise UserError(
                f"label.max_new_tokens is {rules.max_new_tokens}, but CTranslate2 needs at least"
                f" the length of the prompt, {len(rules.prompt)}; raise it, or set label.engine to"
                " whisper"
            )
        stream, to_sample, to_continue = iter(windows), list[AudioWindow](), list[AudioWindow]()
        while batch := to_continue + list(islice(stream, self.batch_size - len(to_continue))):
            to_continue = []
            greedy = [window for window in batch if not window.temperature]
            to_sample += (window for window in batch if window.temperature)
            for window, result in zip(greedy, self._decode(greedy, rules), strict=True):
                again = yield window, result
                if again is not None:
                    (to_sample if again.temperature else to_continue).append(again)
            if len(to_sample) >= self.batch_size:
                yield from self.sampler.transcribe(to_sample, settings)
                to_sample.clear()
        yield from self.sampler.transcribe(to_sample, settings)

    def _decode(self, windows: Sequence[AudioWindow], rules: DecodingRules) -> list[DecodingResult]:
        """Decode greedily; splits the batch in halves when the device runs out of memory."""
        if not windows:
            return []
        features = self.log_mel(
            [window.samples for window in windows], [window.covered.seek for window in windows]
        )
        timestamps = rules.timestamps
        try:
            results = self.model.generate(
                ctranslate2.StorageView.from_array(features.cpu().numpy()),
                [list(rules.prompt)] * len(windows),
                beam_size=1,
                max_length=2 * rules.max_new_tokens,  # it reserves half of it for previous text
                return_scores=True,
                return_no_speech_prob=True,
                suppress_tokens=list(rules.suppressed_ids),
                suppress_blank=bool(rules.suppressed_first_ids),
                max_initial_timestamp_index=_NO_TIMESTAMP_LIMIT
                if timestamps is None or timestamps.max_initial_steps is None
                else timestamps.max_initial_steps,
            )
        except RuntimeError as error:
            if "out of memory" not in str(error):
                raise
            if len(windows) == 1:
                raise ShardError(
                    f"the device has no memory for a single window: {error}; free some, or set"
                    " runtime.device to cpu"
                ) from error
        else:
            return [
                self._result(window, generated, rules)
                for window, generated in zip(windows, results, strict=True)
            ]
        half = len(windows) // 2
        return self._decode(windows[:half], rules) + self._decode(windows[half:], rules)

    def _result(
        self,
        window: AudioWindow,
        generated: ctranslate2.models.WhisperGenerationResult,
        rules: DecodingRules,
    ) -> DecodingResult:
        """CTranslate2 omits prompt and end token, and its mean score excludes the end token."""
        new_tokens = generated.sequences_ids[0]
        return decoding_result(
            window,
            new_tokens,
            rules,
            self.whisper.tokenizer,
            sum_logprob=generated.scores[0] * len(new_tokens),
            no_speech_prob=generated.no_speech_prob,
            has_end=len(new_tokens) < rules.max_new_tokens,
        )


def load_ctranslate2(
    settings: Label, device: Device, sampler: Engine, batch_size: int
) -> CTranslate2Engine:
    """Load the engine over `settings.teacher`, converted once per process; no file remains.

    Raises as `load_whisper`, and `UserError` for a `dtype` that CTranslate2 does not support on the
    device.
    """
    folder, identity = model_folder(settings.teacher), teacher_identity(settings.teacher)
    whisper = load_whisper(settings.teacher, settings.dtype, device)
    return CTranslate2Engine(
        model=_load(str(folder), identity, settings.dtype, device_name(device)),
        whisper=whisper,
        log_mel=LogMel(whisper.feature_extractor, whisper.model.device, torch.float32),
        sampler=sampler,
        batch_size=batch_size,
    )


@functools.lru_cache(maxsize=1)
def _load(folder: str, identity: str, dtype: Dtype, device: str) -> ctranslate2.models.Whisper:
    """`identity` is part of the cache key because the files in a folder may change."""
    with TemporaryDirectory() as temporary:
        converted = f"{temporary}/model"
        try:
            with silent_transformers():
                TransformersConverter(folder).convert(converted, quantization=dtype)
            return ctranslate2.models.Whisper(
                converted,
                device=device,
                compute_type=dtype,
                # it makes this the number of threads of torch as well
                intra_threads=torch.get_num_threads(),
            )
        except (OSError, ValueError, RuntimeError) as error:
            first_line = str(error).strip().splitlines()[0]
            raise UserError(
                f"CTranslate2 cannot load the teacher in {dtype} on {device} ({first_line}); change"
                " label.dtype, or set label.engine to whisper"
            ) from error
