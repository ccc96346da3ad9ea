"""Transcribes a stream of windows in order, with temperature fallback and bounded memory.

The engine returns results in any order; a reorder buffer restores the order of the stream and sends
windows that fail a quality check back to the engine. It has no notion of what a window contains or
how it is decoded.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from configs.schema import Label
from storage.errors import ShardError
from storage.outcome import Rejected
from tasks.whisper.engine import AudioWindow, DecodingResult, Engine, Transcriptions
from tasks.whisper.quality import Transcript, check_quality, next_temperature

T = TypeVar("T")

MAX_PENDING: Final = 4_096
"""Transcripts that may wait for an earlier window; without audio, a few kilobytes each."""


@dataclass(slots=True)
class _Pending(Generic[T]):
    """A window in the reorder buffer: the caller's metadata, and the transcript once final."""

    metadata: T
    transcript: Transcript | None = None


def transcribe_all(
    engine: Engine,
    stream: Iterable[tuple[T, AudioWindow] | Rejected],
    settings: Label,
    *,
    max_pending: int = MAX_PENDING,
) -> Iterator[tuple[T, Transcript] | Rejected]:
    """Transcribe the windows of a stream, in its order; rejected rows pass through.

    Each window comes with metadata of the caller's choice, which is yielded with its transcript. A
    window that fails a quality check is decoded again at the next of `settings.temperatures`,
    batched with new windows. Memory holds the windows that the engine has taken and at most
    `max_pending` transcripts; while an earlier window blocks that many, the engine gets no new
    ones. Raises what the engine raises, and `ShardError` if the engine does not return each window
    exactly once.
    """
    buffer = _ReorderBuffer(iter(stream), max_pending)
    while not buffer.is_exhausted:
        transcriptions = engine.transcribe(buffer.windows(), settings)
        retry: AudioWindow | None = None
        while (item := _next(transcriptions, retry)) is not None:
            window, result = item
            retry = buffer.add(window, result, settings)
            yield from buffer.pop_completed()
        buffer.require_all_returned()
        yield from buffer.pop_completed()


def _next(
    transcriptions: Transcriptions, retry: AudioWindow | None
) -> tuple[AudioWindow, DecodingResult] | None:
    try:
        return transcriptions.send(retry)
    except StopIteration:
        return None


class _ReorderBuffer(Generic[T]):
    """Windows in stream order, each until it and all before it have a final transcript."""

    def __init__(
        self, stream: Iterator[tuple[T, AudioWindow] | Rejected], max_pending: int
    ) -> None:
        self._stream = stream
        self._max_pending = max_pending
        self._queue: deque[_Pending[T] | Rejected] = deque()
        self._in_engine: dict[str, tuple[float, _Pending[T]]] = {}
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
            self._in_engine[window.id] = window.temperature, pending
            yield window

    def add(
        self, window: AudioWindow, result: DecodingResult, settings: Label
    ) -> AudioWindow | None:
        """Add a result; returns the window to decode once more if it failed a quality check.

        Raises `ShardError` for a window that the engine does not have.
        """
        temperature, pending = self._in_engine.pop(window.id, (None, None))
        if pending is None or temperature != window.temperature:
            raise ShardError(
                f"the engine returned window {window.id!r} twice, or was never given it"
            )
        transcript = check_quality(result, settings, window.temperature)
        retry_temperature = next_temperature(transcript, settings)
        if retry_temperature is None:
            pending.transcript = transcript
            return None
        self._in_engine[window.id] = retry_temperature, pending
        return replace(window, temperature=retry_temperature)

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
            elif first.transcript is not None:
                yield first.metadata, first.transcript
            else:
                return
            self._queue.popleft()
