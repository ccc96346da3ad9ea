"""Whether what was heard can be trusted, by Whisper's own checks, and another try where it cannot.

Greedy decoding sometimes runs into a loop or invents words; the remedy of openai/whisper is to
sample again at rising temperatures. Knows what was heard; knows neither engine nor utterance.
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
    """What was heard in a window; names as in openai/whisper's `DecodingResult`.

    `tokens` is the full sequence, prompt and end token included; `temperature` the one at which it
    was decoded; `flags` the checks that it fails, and `no_speech` where it is taken for silence.
    """

    text: str
    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float
    flags: tuple[str, ...]

    @property
    def is_trusted(self) -> bool:
        """Whether it passes: silence does, whatever else is found, as in openai/whisper."""
        return not self.flags or NO_SPEECH in self.flags


def transcript_of(heard: DecodingResult, settings: Label, temperature: float) -> Transcript:
    """What was heard, with the checks that it fails.

    `compression_ratio` above `max_compression_ratio`: a loop. `avg_logprob` below
    `min_avg_logprob`: a guess, unless `no_speech_prob` is above `max_no_speech_prob`, which makes
    it `no_speech`. `no_end`: the limit of tokens came before the end. The first two and the
    exception are those of `transcribe` in openai/whisper (whisper/transcribe.py).
    """
    ratio = compression_ratio(heard.text)
    is_unlikely = heard.avg_logprob < settings.min_avg_logprob
    is_silent = is_unlikely and heard.no_speech_prob > settings.max_no_speech_prob
    found = {
        COMPRESSION_RATIO: ratio > settings.max_compression_ratio,
        AVG_LOGPROB: is_unlikely and not is_silent,
        NO_END: not heard.has_end,
        NO_SPEECH: is_silent,
    }
    return Transcript(
        text=heard.text,
        tokens=heard.tokens,
        avg_logprob=heard.avg_logprob,
        no_speech_prob=heard.no_speech_prob,
        compression_ratio=ratio,
        temperature=temperature,
        flags=tuple(flag for flag, is_found in found.items() if is_found),
    )


def compression_ratio(text: str) -> float:
    """How much shorter zlib makes the text's UTF-8: above 2.4 Whisper suspects a loop.

    As in openai/whisper (whisper/utils.py).
    """
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def next_temperature(transcript: Transcript, settings: Label) -> float | None:
    """At which to hear a window once more; None where the transcript stands.

    That is where it is trusted, and where there is no higher temperature: the last attempt stands.
    """
    if transcript.is_trusted:
        return None
    return dict(pairwise(settings.temperatures)).get(transcript.temperature)
