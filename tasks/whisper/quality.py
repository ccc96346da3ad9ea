"""Quality checks of decoding results, and temperature fallback for those that fail.

Greedy decoding sometimes loops or hallucinates; like openai/whisper, such a window is sampled again
at increasing temperatures. Deals with results only; it has no notion of engines or utterances.
"""

import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from configs.schema import Label
from tasks.whisper.engine import DecodingResult

COMPRESSION_RATIO: Final = "compression_ratio"
AVG_LOGPROB: Final = "avg_logprob"
NO_END: Final = "no_end"
NO_SPEECH: Final = "no_speech"


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """A decoding result together with its quality checks; what is stored as a label.

    `tokens` is the full sequence, prompt and end token included; `temperature` the one it was
    decoded at; `flags` the names of the checks that it fails, and `no_speech` for silence.
    """

    text: str
    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float
    flags: tuple[str, ...]

    @property
    def is_accepted(self) -> bool:
        """Whether it needs no fallback; silence never does, as in openai/whisper."""
        return not self.flags or NO_SPEECH in self.flags


def check_quality(result: DecodingResult, settings: Label, temperature: float) -> Transcript:
    """Apply the quality checks to a result that was decoded at `temperature`.

    `compression_ratio` above `max_compression_ratio` indicates a loop. `avg_logprob` below
    `min_avg_logprob` indicates a guess, unless `no_speech_prob` is above `max_no_speech_prob`: then
    it is `no_speech`. `no_end`: the token limit came before the end. The first two and the
    exception are those of `transcribe` in openai/whisper (whisper/transcribe.py).
    """
    ratio = compression_ratio(result.text)
    is_unlikely = result.avg_logprob < settings.min_avg_logprob
    is_silent = is_unlikely and result.no_speech_prob > settings.max_no_speech_prob
    checks = {
        COMPRESSION_RATIO: ratio > settings.max_compression_ratio,
        AVG_LOGPROB: is_unlikely and not is_silent,
        NO_END: not result.has_end,
        NO_SPEECH: is_silent,
    }
    return Transcript(
        text=result.text,
        tokens=result.tokens,
        avg_logprob=result.avg_logprob,
        no_speech_prob=result.no_speech_prob,
        compression_ratio=ratio,
        temperature=temperature,
        flags=tuple(flag for flag, is_set in checks.items() if is_set),
    )


def compression_ratio(text: str) -> float:
    """Length of the text's UTF-8 over its length under zlib; above 2.4 Whisper assumes a loop.

    As in openai/whisper (whisper/utils.py).
    """
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def next_temperature(transcript: Transcript, settings: Label) -> float | None:
    """The temperature of the next attempt; None if the transcript is final.

    It is final if it is accepted, or if there is no higher temperature to try.
    """
    if transcript.is_accepted:
        return None
    return dict(pairwise(settings.temperatures)).get(transcript.temperature)
