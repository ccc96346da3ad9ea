"""`generate` of transformers as an engine."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from configs.schema import Label
from tasks.whisper.decoding.rules import decoding_rules
from tasks.whisper.engine import AudioWindow, DecodingResult, Transcriptions
from tasks.whisper.model import LoadedWhisper, log_mel, silent_transformers


@dataclass(frozen=True)
class GenerateEngine:
    """Greedy decoding in batches of windows of similar length, longest first.

    It does less than the pipeline: no log-probabilities, no checks, all audio in memory.
    """

    whisper: LoadedWhisper
    batch_size: int

    @property
    def window_samples(self) -> int:
        """The longest window it accepts, in samples at 16 kHz."""
        return self.whisper.window_samples

    def transcribe(self, windows: Iterable[AudioWindow], settings: Label) -> Transcriptions:
        """Yield windows and results batch by batch; see `Engine`."""
        model: Any = self.whisper.model
        rules = decoding_rules(model.generation_config, model.config, settings)
        languages = (
            {"language": settings.language, "task": settings.task}
            if model.generation_config.is_multilingual
            else {}
        )
        ordered = sorted(windows, key=lambda window: -len(window.samples))
        for start in range(0, len(ordered), self.batch_size):
            batch = ordered[start : start + self.batch_size]
            features = log_mel(self.whisper, [window.samples for window in batch])
            with silent_transformers():
                sampled = model.generate(
                    features,
                    attention_mask=torch.ones(features.shape[::2], device=features.device),
                    return_timestamps=False,
                    do_sample=False,
                    num_beams=1,
                    max_new_tokens=rules.max_new_tokens,
                    **languages,
                ).tolist()
            texts = self.whisper.tokenizer.batch_decode(sampled, skip_special_tokens=True)
            for window, tokens, text in zip(batch, sampled, texts, strict=True):
                ended = _ended(tokens, rules.end_id, rules.max_new_tokens)
                yield (
                    window,
                    DecodingResult(
                        text=str(text).strip(),
                        tokens=(*rules.prompt, *ended),
                        avg_logprob=0.0,
                        no_speech_prob=0.0,
                        has_end=ended[-1] == rules.end_id,
                    ),
                )


def _ended(tokens: list[int], end: int, max_new_tokens: int) -> list[int]:
    """Add one end token, which `generate` strips from rows as long as their batch."""
    text = tokens[: tokens.index(end)] if end in tokens else tokens
    return [*text, end] if len(text) < max_new_tokens else text
