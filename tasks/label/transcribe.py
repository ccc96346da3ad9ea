"""From windows of sound to text and signals, in batches that fit into the memory of the device."""

import logging
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from configs.schema import Label
from storage.errors import ShardError
from storage.outcome import LeftOut
from tasks.audio import Samples
from tasks.label.decoder import Decoded, decode
from tasks.label.rules import DecodingRules, decoding_rules
from tasks.label.teacher import Transcriber, log_mel

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """What was heard in a window; names as in openai/whisper's `DecodingResult`.

    `tokens` is the full sequence, prompt and end token included.
    """

    text: str
    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float


def compression_ratio(text: str) -> float:
    """How much shorter zlib makes the text's UTF-8: above 2.4 Whisper suspects a loop.

    As in openai/whisper (whisper/utils.py).
    """
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def transcribe(
    transcriber: Transcriber, waveforms: Sequence[Samples], rules: DecodingRules
) -> list[Transcript]:
    """Transcribe one batch of waveforms, (samples,) float32 at 16 kHz, at most a window long."""
    decoded = decode(transcriber.model, log_mel(transcriber, waveforms), rules)
    return [_transcript(transcriber, one, rules) for one in decoded]


def transcribe_all(
    transcriber: Transcriber,
    windows: Iterable[T | LeftOut],
    waveform_of: Callable[[T], Samples],
    settings: Label,
    batch_size: int,
) -> Iterator[list[tuple[T, Transcript]] | LeftOut]:
    """Transcribe a stream batch by batch, in its order; what is left out passes by.

    At most a batch of windows is held. When the device has no memory for a batch, half of it is
    tried, and that size is kept for the rest of the stream: the tokens stay the same. Raises
    `ShardError` when not even one window fits.
    """
    rules = decoding_rules(transcriber.model.generation_config, transcriber.model.config, settings)
    batches = _Batches(transcriber, rules, batch_size)
    pending: list[T] = []

    def take() -> list[tuple[T, Transcript]]:
        heard = batches.transcribe([waveform_of(one) for one in pending[: batches.size]])
        taken = pending[: len(heard)]
        del pending[: len(heard)]
        return list(zip(taken, heard, strict=True))

    for window in windows:
        if isinstance(window, LeftOut):
            yield window
            continue
        pending.append(window)
        if len(pending) >= batches.size:
            yield take()
    while pending:
        yield take()


class _Batches:
    """Remembers the size of batch that the device has memory for."""

    def __init__(self, transcriber: Transcriber, rules: DecodingRules, size: int) -> None:
        self._transcriber = transcriber
        self._rules = rules
        self.size = size

    def transcribe(self, waveforms: Sequence[Samples]) -> list[Transcript]:
        """Transcribe as many of the first waveforms as fit, at least one."""
        while True:
            size = min(self.size, len(waveforms))
            try:
                return transcribe(self._transcriber, waveforms[:size], self._rules)
            except torch.OutOfMemoryError as error:
                if size == 1:
                    raise ShardError(
                        f"{self._transcriber.model.device} has no memory for a single window:"
                        f" {error}; free some, set label.dtype to bfloat16, or runtime.device"
                        " to cpu"
                    ) from error
            # outside of the handler, which holds the tensors of the failed attempt
            self._halve(size)

    def _halve(self, size: int) -> None:
        self.size = size // 2
        _LOG.warning(
            "no memory for a batch of %d windows on %s; going on with batches of %d",
            size,
            self._transcriber.model.device,
            self.size,
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _transcript(transcriber: Transcriber, decoded: Decoded, rules: DecodingRules) -> Transcript:
    # in every vocabulary of Whisper all text stands before the end token, and nothing else does
    text_ids = [token for token in decoded.tokens if token < rules.end_id]
    text = str(transcriber.tokenizer.decode(text_ids, clean_up_tokenization_spaces=False)).strip()
    return Transcript(
        text=text,
        tokens=decoded.tokens,
        avg_logprob=decoded.avg_logprob,
        no_speech_prob=decoded.no_speech_prob,
        compression_ratio=compression_ratio(text),
    )
