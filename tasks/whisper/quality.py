"""Quality checks of decoding results, and temperature fallback for those that fail.

Greedy decoding sometimes loops or hallucinates; like openai/whisper, such a window is sampled again
at increasing temperatures. Deals with results only; it has no notion of engines or utterances.
"""

import zlib
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from configs.schema import Label
from tasks.audio import SAMPLE_RATE_HZ
from tasks.audio.voice_activity import speech_s
from tasks.whisper.engine import AudioWindow, DecodingResult
from tasks.whisper.segments import FRAMES_PER_STEP, STEP_S

COMPRESSION_RATIO: Final = "compression_ratio"
AVG_LOGPROB: Final = "avg_logprob"
NO_END: Final = "no_end"
EARLY_END: Final = "early_end"
NO_SPEECH: Final = "no_speech"

_MAX_MISSING_S: Final = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """A decoding result together with its quality checks; what is stored as a label.

    `tokens` is the full sequence, prompt and end token included; `temperature` the one it was
    decoded at; `flags` the names of the checks that it fails, and `no_speech` for silence. With
    timestamps it has `num_segments` segments, and the last one ends at `end_s` seconds, None if no
    timestamp closes it. `num_decoded` is the number of tokens that `avg_logprob` is over.
    """

    text: str
    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float
    flags: tuple[str, ...]
    num_decoded: int
    num_segments: int
    end_s: float | None

    @property
    def is_accepted(self) -> bool:
        """Whether it needs no fallback; silence never does, as in openai/whisper."""
        return not self.flags or (NO_SPEECH in self.flags and EARLY_END not in self.flags)


def check_quality(result: DecodingResult, settings: Label, window: AudioWindow) -> Transcript:
    """Apply the quality checks to a result of decoding `window`, at the window's temperature.

    `compression_ratio` above `max_compression_ratio` indicates a loop. `avg_logprob` below
    `min_avg_logprob` indicates a guess, unless `no_speech_prob` is above `max_no_speech_prob`: then
    it is `no_speech`. The first two and the exception are those of `transcribe` in openai/whisper
    (whisper/transcribe.py). `no_end`: the token limit came before the end. `early_end`: by its
    timestamps the label is complete, but more than a second of speech remains. An excerpt fails
    neither of these: openai/whisper has no such checks.
    """
    ratio = compression_ratio(result.text)
    is_unlikely = result.avg_logprob < settings.min_avg_logprob
    is_silent = is_unlikely and result.no_speech_prob > settings.max_no_speech_prob
    checks = {
        COMPRESSION_RATIO: ratio > settings.max_compression_ratio,
        AVG_LOGPROB: is_unlikely and not is_silent,
        NO_END: not result.has_end and window.excerpt is None,
        EARLY_END: _ends_early(result, window, is_silent=is_silent),
        NO_SPEECH: is_silent,
    }
    return Transcript(
        text=result.text,
        tokens=result.tokens,
        avg_logprob=result.avg_logprob,
        no_speech_prob=result.no_speech_prob,
        compression_ratio=ratio,
        temperature=window.temperature,
        flags=tuple(flag for flag, is_set in checks.items() if is_set),
        num_decoded=result.num_decoded,
        num_segments=result.num_segments,
        end_s=result.end_s,
    )


def continued(previous: Transcript, last: Transcript) -> Transcript:
    """The transcript of a window that was decoded up to `previous` and then on to `last`.

    `last` contains the text and tokens of both, unless it is silence: then nothing is added, as in
    openai/whisper. The log-probability is the mean over all tokens, compression ratio and
    temperature are the highest, and it fails the checks that any part failed.
    """
    if NO_SPEECH in last.flags:
        added = tuple(flag for flag in last.flags if flag == EARLY_END)
        return replace(previous, flags=(*previous.flags, *added))
    num_decoded = previous.num_decoded + last.num_decoded
    sum_logprob = previous.avg_logprob * previous.num_decoded + last.avg_logprob * last.num_decoded
    new_flags = (flag for flag in last.flags if flag not in previous.flags)
    return replace(
        last,
        avg_logprob=sum_logprob / num_decoded,
        no_speech_prob=previous.no_speech_prob,
        compression_ratio=max(previous.compression_ratio, last.compression_ratio),
        temperature=max(previous.temperature, last.temperature),
        flags=(*previous.flags, *new_flags),
        num_decoded=num_decoded,
    )


def _ends_early(result: DecodingResult, window: AudioWindow, *, is_silent: bool) -> bool:
    """Whether more than a second of speech follows the label; only timestamps can tell."""
    end_s = result.end_s
    if is_silent:
        # nothing will be added to the label; a window that is silent as a whole has none to end
        seek = window.covered.seek
        end_s = seek * STEP_S / FRAMES_PER_STEP if seek else None
    if end_s is None or result.rest is not None or window.excerpt is not None:
        return False
    remaining = window.samples[round(end_s * SAMPLE_RATE_HZ) :]
    # most labels end with their audio, and need no detection
    return len(remaining) > _MAX_MISSING_S * SAMPLE_RATE_HZ and speech_s(remaining) > _MAX_MISSING_S


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
