"""Transcribes a stream of windows in order, with temperature fallback and bounded memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from configs.schema import Label
from storage.outcome import Rejected
from tasks.whisper.engine import AudioWindow, DecodingResult, Engine
from tasks.whisper.in_order import run_in_order
from tasks.whisper.quality import (
    NO_SPEECH,
    Transcript,
    check_quality,
    continued,
    next_temperature,
)

T = TypeVar("T")

MAX_PENDING: Final = 4_096
"""Transcripts that may wait for an earlier window; without audio, a few kilobytes each."""


@dataclass(slots=True)
class _Attempts(Generic[T]):
    """The caller's metadata of a window, and its transcript so far."""

    metadata: T
    settings: Label
    transcript: Transcript | None = None

    def following(self, window: AudioWindow, result: DecodingResult) -> AudioWindow | None:
        """The window, if it is to be decoded once more, or further."""
        transcript = check_quality(result, self.settings, window)
        if (temperature := next_temperature(transcript, self.settings)) is not None:
            return replace(window, temperature=temperature)
        previous = self.transcript
        self.transcript = continued(previous, transcript) if previous else transcript
        # silence is not decoded any further
        if result.rest is None or NO_SPEECH in transcript.flags:
            return None
        return replace(window, temperature=self.settings.temperatures[0], covered=result.rest)


def transcribe_all(
    engine: Engine,
    stream: Iterable[tuple[T, AudioWindow] | Rejected],
    settings: Label,
    *,
    max_pending: int = MAX_PENDING,
) -> Iterator[tuple[T, Transcript] | Rejected]:
    """Transcribe the windows of a stream, in its order; rejected rows pass through.

    Each window comes with metadata of the caller's choice, which is yielded with its transcript. A
    window that fails a quality check is decoded again at the next of `settings.temperatures`, and
    one whose timestamps leave audio over is decoded from there on, both batched with new windows:
    the loop of `transcribe` in openai/whisper. Memory holds the windows that the engine has taken
    and at most `max_pending` transcripts; while an earlier window blocks that many, the engine gets
    no new ones. Raises what the engine raises, and `ShardError` if the engine does not return each
    window exactly once.
    """
    chains = (
        item if isinstance(item, Rejected) else (_Attempts(item[0], settings), item[1])
        for item in stream
    )
    for done in run_in_order(
        engine, chains, settings, has_room=lambda num_waiting, _: num_waiting < max_pending
    ):
        if isinstance(done, Rejected):
            yield done
        elif done.transcript is not None:
            yield done.metadata, done.transcript
