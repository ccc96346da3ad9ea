"""Transcribes a stream of windows in order, with temperature fallback and bounded memory.

The engine returns results in any order; a reorder buffer restores the order of the stream and sends
windows back to the engine that fail a quality check or are not complete yet. It has no notion of
what a window contains or how it is decoded.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from configs.schema import Label
from storage.errors import ShardError
from storage.outcome import Rejected
from tasks.whisper.engine import AudioWindow, DecodingResult, Engine, Transcriptions
from tasks.whisper.quality import (
    NO_SPEECH,
    Transcript,
    check_quality,
    continued,
    next_temperature,
)
from tasks.whisper.segments import Covered

T = TypeVar("T")

MAX_PENDING: Final = 4_096
"""Transcripts that may wait for an earlier window; without audio, a few kilobytes each."""


@dataclass(slots=True)
class _Pending(Generic[T]):
    """A window in the reorder buffer: the caller's metadata, and the transcript so far."""

    metadata: T
    transcript: Transcript | None = None
    is_final: bool = False


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
    buffer = _ReorderBuffer(iter(stream), max_pending)
    while not buffer.is_exhausted:
        transcriptions = engine.transcribe(buffer.windows(), settings)
        again: AudioWindow | None = None
        while (item := _next(transcriptions, again)) is not None:
            window, result = item
            again = buffer.add(window, result, settings)
            yield from buffer.pop_completed()
        buffer.require_all_returned()
        yield from buffer.pop_completed()


def _next(
    transcriptions: Transcriptions, again: AudioWindow | None
) -> tuple[AudioWindow, DecodingResult] | None:
    try:
        return transcriptions.send(again)
    except StopIteration:
        return None


def _attempt(window: AudioWindow) -> tuple[float, Covered]:
    return window.temperature, window.covered


class _ReorderBuffer(Generic[T]):
    """Windows in stream order, each until it and all before it have a final transcript."""

    def __init__(
        self, stream: Iterator[tuple[T, AudioWindow] | Rejected], max_pending: int
    ) -> None:
        self._stream = stream
        self._max_pending = max_pending
        self._queue: deque[_Pending[T] | Rejected] = deque()
        self._in_engine: dict[str, tuple[AudioWindow, _Pending[T]]] = {}
        self.is_exhausted = False

    def windows(self) -> Iterator[AudioWindow]:
        """Yield the next windows of the stream, as long as the buffer has room."""
        while len(self._queue) < self._max_pending:
            item = next(self._stream, None)
            if item is None:
                self.is_exhausted = True
                return
            if isinstance(item, Rejected):
                self._queue.append(item)
                continue
            metadata, window = item
            if window.id in self._in_engine:
                raise ShardError(
                    f"two windows have the id {window.id!r}; normalise the shard again"
                )
            pending = _Pending(metadata)
            self._queue.append(pending)
            self._in_engine[window.id] = window, pending
            yield window

    def add(
        self, window: AudioWindow, result: DecodingResult, settings: Label
    ) -> AudioWindow | None:
        """Add a result; returns the window if it is to be decoded once more, or further.

        Raises `ShardError` for a window that the engine does not have.
        """
        taken, pending = self._in_engine.pop(window.id, (None, None))
        if pending is None or taken is None or _attempt(taken) != _attempt(window):
            raise ShardError(
                f"the engine returned window {window.id!r} twice, or was never given it"
            )
        transcript = check_quality(result, settings, window)
        again = None
        if (temperature := next_temperature(transcript, settings)) is not None:
            again = replace(window, temperature=temperature)
        else:
            previous = pending.transcript
            pending.transcript = continued(previous, transcript) if previous else transcript
            # silence is not decoded any further
            if result.rest is not None and NO_SPEECH not in transcript.flags:
                first = settings.temperatures[0]
                again = replace(window, temperature=first, covered=result.rest)
        if again is None:
            pending.is_final = True
        else:
            self._in_engine[window.id] = again, pending
        return again

    def require_all_returned(self) -> None:
        """Raise `ShardError` if the engine has finished without returning every window."""
        if self._in_engine:
            raise ShardError(
                f"the engine did not return {len(self._in_engine)} of its windows, the first is"
                f" {next(iter(self._in_engine))!r}"
            )

    def pop_completed(self) -> Iterator[tuple[T, Transcript] | Rejected]:
        """Yield and remove the completed items at the head of the buffer."""
        while self._queue:
            first = self._queue[0]
            if isinstance(first, Rejected):
                yield first
            elif first.transcript is not None and first.is_final:
                yield first.metadata, first.transcript
            else:
                return
            self._queue.popleft()
