"""Runs chains of windows through an engine, in the order of a stream and with bounded memory.

The engine returns results in any order; a reorder buffer restores the order of the stream and gives
the engine the window that follows in a chain. It has no notion of what a window contains or why
another one follows.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from configs.schema import Label
from storage.errors import ShardError
from storage.outcome import Rejected
from tasks.whisper.engine import AudioWindow, DecodingResult, Engine, Transcriptions
from tasks.whisper.segments import Covered


class Chain(Protocol):
    """Windows that each depend on the result of the one before."""

    def following(self, window: AudioWindow, result: DecodingResult) -> AudioWindow | None:
        """Add the result of a window; returns the next window, None at the end of the chain."""


C = TypeVar("C", bound=Chain)


@dataclass(slots=True)
class _Pending(Generic[C]):
    """A chain in the reorder buffer."""

    chain: C
    has_ended: bool = False


def run_in_order(
    engine: Engine,
    stream: Iterable[tuple[C, AudioWindow] | Rejected],
    settings: Label,
    *,
    has_room: Callable[[int, Iterable[C]], bool],
) -> Iterator[C | Rejected]:
    """Yield the chains of a stream once they have ended, in its order; rejected rows pass through.

    Each chain comes with its first window. The engine gets new chains as long as it has capacity
    and `has_room` permits, given the number of items that are waiting and the chains among them;
    one that ended waits for those before it. Raises what the engine raises, and `ShardError` if it
    does not return each window exactly once.
    """
    buffer = _ReorderBuffer(iter(stream), has_room)
    while not buffer.is_exhausted:
        transcriptions = engine.transcribe(buffer.windows(), settings)
        following: AudioWindow | None = None
        while (item := _next(transcriptions, following)) is not None:
            window, result = item
            following = buffer.add(window, result)
            yield from buffer.pop_ended()
        buffer.require_all_returned()
        yield from buffer.pop_ended()


def _next(
    transcriptions: Transcriptions, following: AudioWindow | None
) -> tuple[AudioWindow, DecodingResult] | None:
    try:
        return transcriptions.send(following)
    except StopIteration:
        return None


def _attempt(window: AudioWindow) -> tuple[float, Covered]:
    return window.temperature, window.covered


class _ReorderBuffer(Generic[C]):
    """Chains in stream order, each until it and all before it have ended."""

    def __init__(
        self,
        stream: Iterator[tuple[C, AudioWindow] | Rejected],
        has_room: Callable[[int, Iterable[C]], bool],
    ) -> None:
        self._stream = stream
        self._has_room = has_room
        self._queue: deque[_Pending[C] | Rejected] = deque()
        self._in_engine: dict[str, tuple[AudioWindow, _Pending[C]]] = {}
        self.is_exhausted = False

    def windows(self) -> Iterator[AudioWindow]:
        """Yield the first windows of the next chains, as long as the buffer has room."""
        while self._has_room(len(self._queue), self._waiting()):
            item = next(self._stream, None)
            if item is None:
                self.is_exhausted = True
                return
            if isinstance(item, Rejected):
                self._queue.append(item)
                continue
            chain, window = item
            if window.id in self._in_engine:
                raise ShardError(
                    f"two windows have the id {window.id!r}; normalise the shard again"
                )
            pending = _Pending(chain)
            self._queue.append(pending)
            self._in_engine[window.id] = window, pending
            yield window

    def add(self, window: AudioWindow, result: DecodingResult) -> AudioWindow | None:
        """Add a result; returns the next window of its chain.

        Raises `ShardError` for a window that the engine does not have.
        """
        taken, pending = self._in_engine.pop(window.id, (None, None))
        if pending is None or taken is None or _attempt(taken) != _attempt(window):
            raise ShardError(
                f"the engine returned window {window.id!r} twice, or was never given it"
            )
        following = pending.chain.following(window, result)
        if following is None:
            pending.has_ended = True
        else:
            self._in_engine[following.id] = following, pending
        return following

    def require_all_returned(self) -> None:
        """Raise `ShardError` if the engine has finished without returning every window."""
        if self._in_engine:
            raise ShardError(
                f"the engine did not return {len(self._in_engine)} of its windows, the first is"
                f" {next(iter(self._in_engine))!r}"
            )

    def pop_ended(self) -> Iterator[C | Rejected]:
        """Yield and remove the items at the head of the buffer that have ended."""
        while self._queue:
            first = self._queue[0]
            if isinstance(first, Rejected):
                yield first
            elif first.has_ended:
                yield first.chain
            else:
                return
            self._queue.popleft()

    def _waiting(self) -> Iterator[C]:
        return (one.chain for one in self._queue if not isinstance(one, Rejected))
