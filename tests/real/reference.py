"""Whisper of transformers as the reference: greedily, with and without timestamps."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    pipeline,
)

from tasks.audio import SAMPLE_RATE_HZ, Samples
from tasks.whisper.model import silent_transformers

_WINDOW_SAMPLES: Final = 30 * SAMPLE_RATE_HZ
_BATCH_SIZE: Final = 8
_MIN_AVG_LOGPROB: Final = -1.0
_MAX_NO_SPEECH_PROB: Final = 0.6


class _SilenceAfterAudio(WhisperForConditionalGeneration):
    """Continues in silence where the audio ends.

    The original cuts the features there and fills them up with 0.0, a level of noise that no
    labelled window has: with tiny.en it changes the text of half of all windows.
    """

    @staticmethod
    def _get_input_segment(
        input_features: Tensor,
        seek: Tensor,
        seek_num_frames: Tensor,
        num_segment_frames: int,
        cur_bsz: int,
        batch_idx_map: Sequence[int],
    ) -> Tensor:
        starts = [int(seek[batch_idx_map[row]]) for row in range(cur_bsz)]
        return torch.stack(
            [
                input_features[row, :, start : start + num_segment_frames]
                for row, start in enumerate(starts)
            ]
        )


class Reference:
    """A Whisper in a folder, run by `generate` of transformers on the CPU in float32."""

    def __init__(self, folder: Path) -> None:
        with silent_transformers():
            self._processor = WhisperProcessor.from_pretrained(folder)
            self._model = _SilenceAfterAudio.from_pretrained(folder).eval()
        is_multilingual: bool = self._model.generation_config.is_multilingual
        self._language = {"language": "en", "task": "transcribe"} if is_multilingual else {}
        self._max_new_tokens: int = self._model.config.max_target_positions // 2

    def transcribe(self, waveforms: Sequence[Samples]) -> list[str]:
        """Text without timestamps; waveforms longer than a window are transcribed sequentially."""
        long = [one for one in range(len(waveforms)) if len(waveforms[one]) > _WINDOW_SAMPLES]
        short = [one for one in range(len(waveforms)) if one not in long]
        texts = {
            **dict(zip(short, self._plain([waveforms[one] for one in short]), strict=True)),
            **dict(
                zip(
                    long,
                    self.transcribe_with_timestamps([waveforms[one] for one in long]),
                    strict=True,
                )
            ),
        }
        return [texts[one] for one in range(len(waveforms))]

    def transcribe_with_drafts(self, waveforms: Sequence[Samples], student: Path) -> list[str]:
        """Text without timestamps, which the student in a folder drafts; one waveform at a time."""
        with silent_transformers():
            drafts = AutoModelForCausalLM.from_pretrained(student).eval()
        options = {"return_timestamps": False, "assistant_model": drafts}
        return [
            text
            for one in waveforms
            for text in self._texts(self._generate(self._features([one]), **options))
        ]

    def transcribe_with_timestamps(self, waveforms: Sequence[Samples]) -> list[str]:
        """Text of decoding with timestamps, as openai/whisper does for audio of any length.

        It continues after the last timestamp until the audio is covered.
        """
        return [text for batch in _batches(waveforms) for text in self._sequential(batch)]

    def transcribe_chunked(self, recording: Samples, *, chunk_s: float, stride_s: float) -> str:
        """Text of the pipeline, which merges that of overlapping chunks."""
        with silent_transformers():
            recogniser = pipeline(
                "automatic-speech-recognition",
                model=self._model,
                feature_extractor=self._processor.feature_extractor,
                tokenizer=self._processor.tokenizer,
                ignore_warning=True,
            )
            found: Any = recogniser(
                recording,
                chunk_length_s=chunk_s,
                stride_length_s=stride_s,
                generate_kwargs={
                    "num_beams": 1,
                    "max_new_tokens": self._max_new_tokens,
                    **self._language,
                },
            )
        text: str = found["text"].strip()
        return text

    def _plain(self, waveforms: Sequence[Samples]) -> list[str]:
        return [
            text
            for batch in _batches(waveforms)
            for text in self._texts(self._generate(self._features(batch), return_timestamps=False))
        ]

    def _sequential(self, waveforms: Sequence[Samples]) -> list[str]:
        # in a batch of one, the length of the audio would be ignored
        pair = (*waveforms, *waveforms) if len(waveforms) == 1 else waveforms
        silence = np.zeros(_WINDOW_SAMPLES, np.float32)
        padded = [np.concatenate([waveform, silence]) for waveform in pair]
        features = self._features(padded, truncation=False, padding="longest")
        is_audio = torch.zeros(len(pair), features.shape[-1], dtype=torch.long)
        for row, waveform in zip(is_audio, pair, strict=True):
            row[: len(waveform) // self._processor.feature_extractor.hop_length] = 1
        tokens = self._generate(
            features,
            attention_mask=is_audio,
            return_timestamps=True,
            condition_on_prev_tokens=False,
            logprob_threshold=_MIN_AVG_LOGPROB,
            no_speech_threshold=_MAX_NO_SPEECH_PROB,
        )
        return self._texts(tokens)[: len(waveforms)]

    def _features(self, waveforms: Sequence[Samples], **options: Any) -> Tensor:
        features: Tensor = self._processor.feature_extractor(
            list(waveforms), sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt", **options
        ).input_features
        return features

    def _generate(self, features: Tensor, **options: Any) -> Tensor:
        with silent_transformers(), torch.inference_mode():
            tokens: Tensor = self._model.generate(
                features,
                max_new_tokens=self._max_new_tokens,
                temperature=0.0,
                **self._language,
                **options,
            )
        return tokens

    def _texts(self, tokens: Tensor) -> list[str]:
        texts: list[str] = self._processor.batch_decode(tokens, skip_special_tokens=True)
        return [text.strip() for text in texts]


def _batches(waveforms: Sequence[Samples]) -> Iterator[Sequence[Samples]]:
    for start in range(0, len(waveforms), _BATCH_SIZE):
        yield waveforms[start : start + _BATCH_SIZE]
